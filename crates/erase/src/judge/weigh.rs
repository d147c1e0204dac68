//! What the facts mean: a grade, the reasons for it, and what would help.

use super::{Facts, Grade, Layer, Medium, Snapshots, Verdict};

/// How a file system writes what is written over.
enum Writing {
    /// To the same blocks.
    InPlace,
    /// To other blocks.
    Elsewhere(&'static str),
    /// Nobody here knows.
    Hidden(&'static str),
}

const NIST: &str = "overwriting single files is not even Clear in the sense of NIST SP 800-88, which covers all that can be \
                    addressed on a medium: stale copies in free space, in journals and in spare cells are not in any file";

const SANITIZE: &str = "after moving everything off: sanitize the whole device (NVMe sanitize, ATA secure erase, the \
                        provider's deletion of the volume), or destroy it";
const ENCRYPT_BELOW: &str =
    "next time: encrypt below from the start (LUKS, fscrypt), so that forgetting a key erases all";

/// What the facts mean. Pure.
pub fn weigh(facts: &Facts) -> Verdict {
    let mut scale = Scale { facts, grade: Grade::A, overwrite: true, reasons: Vec::new(), remedies: Vec::new() };
    scale.file_system();
    scale.files();
    scale.snapshots();
    scale.devices();
    scale.verdict()
}

struct Scale<'a> {
    facts: &'a Facts,
    grade: Grade,
    overwrite: bool,
    reasons: Vec<String>,
    remedies: Vec<String>,
}

impl Scale<'_> {
    fn at_best(&mut self, grade: Grade, reason: impl Into<String>) {
        self.grade = self.grade.max(grade);
        self.reasons.push(reason.into());
    }

    fn has_option(&self, wanted: &str) -> bool {
        let matches = |option: &String| option == wanted || option.split('=').next() == Some(wanted);
        self.facts.options.iter().any(matches)
    }

    fn file_system(&mut self) {
        let name = &self.facts.file_system;
        match writing(name) {
            Writing::InPlace => self.reasons.push(format!("{name} writes over contents in place")),
            Writing::Elsewhere(why) => {
                self.overwrite = self.facts.no_cow > 0;
                self.at_best(Grade::C, format!("{name} {why}: what is written over stays where it was"));
                if self.overwrite {
                    self.reasons.push(
                        "files flagged NOCOW are written over in place as long as no snapshot has them, but neither names \
                         nor small files"
                            .into(),
                    );
                }
                self.remedies.push("fill the free space and trim it after removing (--scrub)".into());
            }
            Writing::Hidden(why) => {
                self.overwrite = false;
                self.at_best(Grade::C, format!("{name}: {why}"));
            }
        }
        if self.has_option("compress") || self.has_option("compress-force") || self.has_option("compress_algorithm") {
            self.at_best(Grade::C, "what is written is compressed: it may go to other blocks");
        }
        if self.has_option("discard") {
            self.reasons.push("freed blocks are discarded: the device may forget them soon, late or never".into());
        }
        self.journal();
    }

    fn journal(&mut self) {
        if self.has_option("data=journal") || self.facts.data_journaled > 0 {
            self.at_best(
                Grade::C,
                "contents go through the journal (data=journal): what was written lately stays in it, whatever is written \
                 over in place",
            );
            self.remedies.push("make the journal wrap after erasing (--scrub=journal)".into());
        } else if matches!(&self.facts.file_system[..], "ext3" | "ext4" | "xfs" | "jfs" | "reiserfs") {
            self.reasons.push(
                "the journal keeps names, targets of links, attributes and the smallest files until it wraps".into(),
            );
            self.remedies.push("make the journal wrap and fill free space after erasing (--scrub=all)".into());
        }
    }

    fn files(&mut self) {
        let Facts { sampled, shared, compressed, inline, .. } = *self.facts;
        if shared > 0 {
            self.at_best(
                Grade::C,
                format!("{shared} of {sampled} files looked at share blocks with copies or snapshots, which keep them"),
            );
        }
        if compressed > 0 && writing_in_place(&self.facts.file_system) {
            self.at_best(Grade::C, format!("{compressed} of {sampled} files looked at are compressed"));
        }
        if inline > 0 {
            self.reasons.push(format!(
                "{inline} of {sampled} files looked at lie within metadata, which goes through the journal"
            ));
        }
    }

    fn snapshots(&mut self) {
        match self.facts.snapshots {
            Snapshots::NoneSeen => {}
            Snapshots::Seen(many) => {
                let plural = if many == 1 { "" } else { "s" };
                self.at_best(Grade::C, format!("{many} snapshot{plural} of this file system may hold what is erased"));
                self.remedies.push("delete the snapshots first".into());
            }
            Snapshots::Unknown => self.reasons.push("whether there are snapshots could not be found out".into()),
        }
    }

    fn devices(&mut self) {
        let crypt = self.facts.layers.iter().any(|layer| layer.medium == Medium::Crypt);
        if crypt {
            self.reasons.push("dm-crypt lies below: what a device keeps of old blocks is ciphertext".into());
        }
        for layer in &self.facts.layers {
            self.layer(layer, crypt);
        }
        if self.facts.layers.is_empty() && self.grade < Grade::C {
            self.at_best(Grade::B, "what lies below the file system could not be found out");
        }
        if self.facts.virtual_machine && !crypt && self.grade < Grade::C {
            self.at_best(Grade::B, "this is a virtual machine: what its disks are is known to the host alone");
        }
    }

    fn layer(&mut self, layer: &Layer, crypt: bool) {
        let name = &layer.name;
        match &layer.medium {
            Medium::Thin => {
                self.at_best(Grade::C, format!("{name} is thin: its blocks come from a pool and may be shared"))
            }
            Medium::Snapshotted => {
                self.at_best(Grade::C, format!("{name} has a snapshot, which keeps what is written over"));
                self.remedies.push("delete the snapshots first".into());
            }
            Medium::Loop(Some(below)) if !writing_in_place(below) => {
                self.at_best(Grade::C, format!("{name} is a file of {below}, which does not write in place"));
            }
            _ if crypt => {}
            _ if layer.zoned => self.at_best(Grade::C, format!("{name} is zoned: it does not write in place")),
            Medium::Rotating if layer.discard => self.at_best(
                Grade::B,
                format!("{name} says that it turns, and takes discards: it maps blocks to places of its own choice"),
            ),
            Medium::Flash => self.at_best(
                Grade::B,
                format!(
                    "{name} is flash: each write goes to other cells, and what was there stays until they are cleared"
                ),
            ),
            Medium::Unknown => {
                self.at_best(Grade::B, format!("{name} is virtual or remote: nobody here knows the medium"))
            }
            Medium::Loop(_) => {
                self.at_best(Grade::B, format!("{name} is a file: where its blocks are, its file system decides"))
            }
            Medium::Raid => {
                self.reasons.push(format!("{name} is md: all its members are written, and none that was replaced"))
            }
            Medium::Rotating => {
                self.reasons.push(format!("{name} is rotating, and writes in place but for remapped sectors"))
            }
            Medium::Memory => self.reasons.push(format!("{name} is memory")),
            Medium::Crypt | Medium::Mapped => {}
        }
    }

    fn verdict(mut self) -> Verdict {
        if self.has_option("dax") {
            self.reasons.push("dax: the medium is persistent memory".into());
        }
        self.reasons.push(NIST.into());
        if self.grade > Grade::A {
            self.remedies.extend([SANITIZE.into(), ENCRYPT_BELOW.into()]);
        }
        self.remedies.dedup();
        let devices = self.facts.layers.iter().map(describe).collect();
        let matters = |option: &&String| {
            let word = option.split('=').next().unwrap_or_default();
            matches!(
                word,
                "data" | "discard" | "compress" | "compress-force" | "nodatacow" | "dax" | "subvol" | "nodiscard"
            )
        };
        let options = self.facts.options.iter().filter(matters).cloned().collect();
        Verdict {
            grade: self.grade,
            overwrite: self.overwrite,
            file_system: self.facts.file_system.clone(),
            options,
            devices,
            reasons: self.reasons,
            remedies: self.remedies,
        }
    }
}

/// Whether a file system writes over contents in place.
fn writing_in_place(name: &str) -> bool {
    matches!(writing(name), Writing::InPlace)
}

fn writing(name: &str) -> Writing {
    match name {
        "ext2" | "ext3" | "ext4" | "xfs" | "jfs" | "reiserfs" | "vfat" | "msdos" | "exfat" | "ntfs3" | "hfsplus"
        | "udf" => Writing::InPlace,
        "btrfs" | "zfs" | "bcachefs" | "nilfs2" => Writing::Elsewhere("copies on write"),
        "f2fs" | "ubifs" | "jffs2" => Writing::Elsewhere("is a log on flash"),
        "tmpfs" | "ramfs" | "hugetlbfs" => {
            Writing::Hidden("in memory, and maybe in swap: there are no blocks to write over")
        }
        "overlay" | "aufs" | "unionfs" => Writing::Hidden("a layer above others, which may keep the file as it was"),
        "ecryptfs" => Writing::Hidden("it stores in another file system, which decides"),
        name if name.starts_with("fuse") => Writing::Hidden("a program decides what becomes of what is written over"),
        name if name.starts_with("nfs") => Writing::Hidden(REMOTE),
        "cifs" | "smb3" | "smbfs" | "9p" | "virtiofs" | "ceph" | "afs" | "glusterfs" | "lustre" | "gpfs" | "ocfs2"
        | "gfs2" | "orangefs" | "coda" | "vboxsf" | "vmhgfs" => Writing::Hidden(REMOTE),
        _ => Writing::Hidden("nothing is known of how it writes"),
    }
}

const REMOTE: &str = "another machine decides what becomes of what is written over";

fn describe(layer: &Layer) -> String {
    let what = match &layer.medium {
        Medium::Crypt => "dm-crypt".into(),
        Medium::Mapped => "a mapping".into(),
        Medium::Thin => "thin".into(),
        Medium::Snapshotted => "with a snapshot".into(),
        Medium::Raid => "md".into(),
        Medium::Loop(Some(below)) => format!("a file of {below}"),
        Medium::Loop(None) => "a file".into(),
        Medium::Rotating => "rotating".into(),
        Medium::Flash => "flash".into(),
        Medium::Unknown => "unknown medium".into(),
        Medium::Memory => "memory".into(),
    };
    let zoned = if layer.zoned { ", zoned" } else { "" };
    format!("{} ({what}{zoned})", layer.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(file_system: &str, media: &[Medium]) -> Facts {
        let layer = |(number, medium): (usize, &Medium)| Layer {
            name: format!("dev{number}"),
            medium: medium.clone(),
            discard: false,
            zoned: false,
        };
        Facts {
            file_system: file_system.into(),
            options: vec!["rw".into()],
            sampled: 10,
            no_cow: 0,
            compressed: 0,
            data_journaled: 0,
            shared: 0,
            inline: 0,
            snapshots: Snapshots::NoneSeen,
            layers: media.iter().enumerate().map(layer).collect(),
            virtual_machine: false,
        }
    }

    #[test]
    fn each_stack_has_its_grade() {
        use Medium::*;
        let table: &[(&str, &[Medium], Grade, bool)] = &[
            ("ext4", &[Rotating], Grade::A, true),
            ("xfs", &[Mapped, Rotating], Grade::A, true),
            ("ext4", &[Crypt, Flash], Grade::A, true),
            ("ext4", &[Mapped, Crypt, Mapped, Unknown], Grade::A, true),
            ("ext4", &[Raid, Rotating, Rotating], Grade::A, true),
            ("ext4", &[Flash], Grade::B, true),
            ("vfat", &[Flash], Grade::B, true),
            ("ext4", &[Unknown], Grade::B, true),
            ("ext4", &[], Grade::B, true),
            ("ext4", &[Loop(Some("ext4".into())), Rotating], Grade::B, true),
            ("ext4", &[Loop(Some("btrfs".into())), Rotating], Grade::C, true),
            ("xfs", &[Thin, Rotating], Grade::C, true),
            ("xfs", &[Thin, Crypt, Flash], Grade::C, true),
            ("ext4", &[Snapshotted, Rotating], Grade::C, true),
            ("btrfs", &[Rotating], Grade::C, false),
            ("btrfs", &[Crypt, Rotating], Grade::C, false),
            ("zfs", &[], Grade::C, false),
            ("bcachefs", &[Rotating], Grade::C, false),
            ("f2fs", &[Flash], Grade::C, false),
            ("overlay", &[], Grade::C, false),
            ("tmpfs", &[], Grade::C, false),
            ("nfs4", &[], Grade::C, false),
            ("cifs", &[], Grade::C, false),
            ("fuse.sshfs", &[], Grade::C, false),
            ("squirrelfs", &[Rotating], Grade::C, false),
        ];
        for (name, media, grade, overwrite) in table {
            let verdict = weigh(&facts(name, media));
            assert_eq!((verdict.grade, verdict.overwrite), (*grade, *overwrite), "{name} on {media:?}: {verdict}");
        }
    }

    #[test]
    fn what_spoils_a_grade_is_told() {
        type Spoiled = (fn(&mut Facts), Grade, &'static str);
        let spoiled: &[Spoiled] = &[
            (|facts| facts.options.push("data=journal".into()), Grade::C, "data=journal"),
            (|facts| facts.data_journaled = 1, Grade::C, "through the journal"),
            (|facts| facts.options.push("compress=zstd:3".into()), Grade::C, "compressed"),
            (|facts| facts.shared = 2, Grade::C, "2 of 10 files looked at share blocks"),
            (|facts| facts.compressed = 1, Grade::C, "are compressed"),
            (|facts| facts.snapshots = Snapshots::Seen(1), Grade::C, "1 snapshot of"),
            (|facts| facts.snapshots = Snapshots::Unknown, Grade::A, "could not be found out"),
            (|facts| facts.layers[0].zoned = true, Grade::C, "zoned"),
            (|facts| facts.layers[0].discard = true, Grade::B, "takes discards"),
            (|facts| facts.virtual_machine = true, Grade::B, "virtual machine"),
            (|facts| facts.options.push("discard".into()), Grade::A, "discarded"),
            (|facts| facts.inline = 3, Grade::A, "within metadata"),
        ];
        for (spoil, grade, reason) in spoiled {
            let mut facts = facts("ext4", &[Medium::Rotating]);
            spoil(&mut facts);
            let verdict = weigh(&facts);
            assert_eq!(verdict.grade, *grade, "{reason}");
            assert!(verdict.reasons.iter().any(|told| told.contains(reason)), "{reason}: {verdict}");
        }
    }

    #[test]
    fn nocow_files_are_worth_overwriting_and_still_of_grade_c() {
        let verdict = weigh(&Facts { no_cow: 5, ..facts("btrfs", &[Medium::Rotating]) });
        assert_eq!((verdict.grade, verdict.overwrite), (Grade::C, true));
    }

    #[test]
    fn every_verdict_says_what_nist_says_and_all_but_a_what_would_help() {
        for (name, medium) in [("ext4", Medium::Rotating), ("ext4", Medium::Flash), ("btrfs", Medium::Flash)] {
            let verdict = weigh(&facts(name, &[medium]));
            assert!(verdict.reasons.iter().any(|reason| reason.contains("NIST SP 800-88")));
            assert_eq!(verdict.remedies.iter().any(|remedy| remedy.contains("sanitize")), verdict.grade > Grade::A);
        }
    }
}
