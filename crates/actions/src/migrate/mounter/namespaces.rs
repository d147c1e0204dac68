//! Mount namespaces in which a mount goes on when it is taken away here: a copy was made with the namespace, and the server, and
//! whoever is in there, have it until that ends.

use std::{collections::BTreeSet, fs, path::Path};

/// Processes in such namespaces, one for each, by name and number; not of those that `but` are in.
pub(super) fn beyond(device: (u32, u32), but: &[u32]) -> Vec<String> {
    let Some(own) = fs::read_to_string("/proc/thread-self/mountinfo").ok() else { return Vec::new() };
    let is_shared = parents(&own, device).any(|parent| parent.is_shared);
    let mut seen: BTreeSet<_> = namespace("thread-self").into_iter().collect();
    seen.extend(but.iter().filter_map(|pid| namespace(&pid.to_string())));
    let mut found = Vec::new();
    for pid in pids() {
        let Some(there) = namespace(&pid).filter(|there| seen.insert(there.clone())) else { continue };
        let Ok(mounts) = fs::read_to_string(format!("/proc/{pid}/mountinfo")) else {
            seen.remove(&there);
            continue;
        };
        // Where mounts are passed on from here, taking it away is too.
        if parents(&mounts, device).any(|parent| !(is_shared && parent.is_passed_on)) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            found.push(format!("{} (process {pid})", name.trim_end()));
        }
    }
    found
}

fn pids() -> impl Iterator<Item = String> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.parse::<u32>().is_ok())
}

fn namespace(process: &str) -> Option<String> {
    let link = Path::new("/proc").join(process).join("ns/mnt");
    Some(fs::read_link(link).ok()?.to_string_lossy().into_owned())
}

/// What a mount stands on, as far as it tells what becomes of the mount (mount_namespaces(7)).
#[derive(Debug, PartialEq, Eq)]
struct Parent {
    /// What is done upon it is done elsewhere too.
    is_shared: bool,
    /// What is done elsewhere is done upon it too.
    is_passed_on: bool,
}

/// Of each mount of `device`.
fn parents(mountinfo: &str, device: (u32, u32)) -> impl Iterator<Item = Parent> {
    let device = format!("{}:{}", device.0, device.1);
    let fields = |line: &'_ str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let lines: Vec<Vec<String>> = mountinfo.lines().map(fields).filter(|line| line.len() > 6).collect();
    let own: Vec<String> = lines.iter().filter(|line| line[2] == device).map(|line| line[1].clone()).collect();
    own.into_iter().map(move |parent| {
        let above = lines.iter().find(|line| line[0] == parent);
        let optional = |line: &Vec<String>| -> Vec<String> {
            line[6..].iter().take_while(|field| *field != "-").cloned().collect()
        };
        let optional = above.map(optional).unwrap_or_default();
        let has = |word: &str| optional.iter().any(|field| field.starts_with(word));
        Parent { is_shared: has("shared:"), is_passed_on: has("shared:") || has("master:") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw
22 1 8:2 / /srv rw master:1 - ext4 /dev/sda2 rw
23 1 8:3 / /tmp rw - ext4 /dev/sda3 rw
36 21 0:52 / /data rw shared:9 - fuse.strongroom /v rw
37 22 0:53 / /srv/data rw - fuse.strongroom /w rw
38 23 0:54 / /tmp/data rw - fuse.strongroom /x rw";

    #[test]
    fn what_a_mount_stands_on_tells_whether_it_goes_with_another() {
        let parent = |minor| parents(MOUNTS, (0, minor)).collect::<Vec<_>>();
        assert_eq!(parent(52), [Parent { is_shared: true, is_passed_on: true }]);
        assert_eq!(parent(53), [Parent { is_shared: false, is_passed_on: true }]);
        assert_eq!(parent(54), [Parent { is_shared: false, is_passed_on: false }]);
        assert_eq!(parent(55), []);
    }
}
