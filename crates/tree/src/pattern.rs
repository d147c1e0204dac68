//! Patterns as .gitignore reads them.

use globset::{Candidate, GlobBuilder, GlobSet, GlobSetBuilder};

use crate::RelPath;

/// Why a pattern means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pattern {pattern:?} means nothing: {why}")]
pub struct BadPattern {
    /// The pattern as it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub why: String,
}

/// A list of patterns, of which the last that matches decides.
#[derive(Clone, Debug)]
pub(crate) struct Patterns {
    globs: GlobSet,
    patterns: Vec<Pattern>,
}

#[derive(Clone, Debug)]
struct Pattern {
    /// It began with `!`.
    brings_back: bool,
    /// It ended with `/`.
    is_for_directories: bool,
    /// The names that it begins with, as far as they stand for themselves; `None` if it matches at any depth.
    leading: Option<RelPath>,
}

impl Patterns {
    pub fn parse<P: AsRef<str>>(texts: impl IntoIterator<Item = P>) -> Result<Self, BadPattern> {
        let (mut globs, mut patterns) = (GlobSetBuilder::new(), Vec::new());
        for text in texts {
            let text = text.as_ref();
            let bad = |why: String| BadPattern { pattern: text.to_owned(), why };
            let (pattern, glob) = parse(text).map_err(|why| bad(why.into()))?;
            let built = GlobBuilder::new(&glob).literal_separator(true).backslash_escape(true).build();
            globs.add(built.map_err(|error| bad(error.kind().to_string()))?);
            patterns.push(pattern);
        }
        let globs = globs.build().map_err(|error| BadPattern {
            pattern: error.glob().unwrap_or_default().to_owned(),
            why: error.kind().to_string(),
        })?;
        Ok(Self { globs, patterns })
    }

    /// Whether the last pattern that matches this very path takes it (or brings it back); `None` if no pattern does.
    pub fn decide(&self, path: &RelPath, is_dir: bool) -> Option<bool> {
        let matching = self.globs.matches_candidate(&Candidate::new(path.as_path()));
        let last = matching.into_iter().rev().map(|index| &self.patterns[index]);
        last.filter(|pattern| is_dir || !pattern.is_for_directories).map(|pattern| !pattern.brings_back).next()
    }

    /// Whether something below the directory `path` may be taken.
    pub fn lead_below(&self, path: &RelPath) -> bool {
        self.patterns.iter().filter(|pattern| !pattern.brings_back).any(|pattern| match &pattern.leading {
            None => true,
            Some(leading) => leading.is_within(path) || path.is_within(leading),
        })
    }

    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

/// Takes a pattern apart, and gives the glob that matches paths from the root.
fn parse(text: &str) -> Result<(Pattern, String), &'static str> {
    let (brings_back, rest) = match text.strip_prefix('!') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (is_for_directories, rest) = match rest.strip_suffix('/') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let is_anchored = rest.contains('/');
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    if rest.is_empty() {
        return Err("nothing is left of it");
    }
    if rest.split('/').any(|name| name.is_empty() || name == "." || name == "..") {
        return Err("an empty name, `.` or `..` is in no path of a tree");
    }
    let leading = is_anchored.then(|| leading_names(rest));
    let glob = if is_anchored { rest.to_owned() } else { format!("**/{rest}") };
    Ok((Pattern { brings_back, is_for_directories, leading }, glob))
}

fn leading_names(pattern: &str) -> RelPath {
    let stands_for_itself = |name: &&str| !name.contains(['*', '?', '[', '{', '\\']);
    let mut names = pattern.split('/').take_while(stands_for_itself);
    names.try_fold(RelPath::root(), |path, name| path.join(name.as_bytes()).ok()).unwrap_or_default()
}
