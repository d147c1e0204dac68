//! Readers of index and tar headers survive arbitrary bytes, and good ones with arbitrary changes: the bodies of the fuzz
//! targets, on generated input.

use proptest::prelude::*;
use strongroom_archive::fuzz;

use crate::forge::Parts;

thread_local! {
    static GOOD: Parts = Parts::good();
}

/// Changes bytes, and cuts.
fn changed(bytes: &[u8], changes: &[(prop::sample::Index, u8)], cut: &prop::sample::Index) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, byte) in changes {
        let at = at.index(bytes.len());
        bytes[at] = *byte;
    }
    bytes.truncate(cut.index(bytes.len() + bytes.len() / 2).max(1));
    bytes
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_survived(data in prop::collection::vec(any::<u8>(), 0..3000)) {
        fuzz::archive_index(&data);
        fuzz::archive_tar(&data);
        fuzz::archive_metadata(&data);
    }

    #[test]
    fn a_good_index_with_arbitrary_changes_is_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let lines = GOOD.with(|good| good.lines[2..].iter().map(|line| format!("{line}\n")).collect::<String>());
        fuzz::archive_index(&changed(&[b"\x20", lines.as_bytes()].concat(), &changes, &cut));
    }

    #[test]
    fn a_good_document_with_arbitrary_changes_is_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        cut in any::<prop::sample::Index>(),
    ) {
        let document = GOOD.with(|good| good.lines[0]["head"]["metadata"].to_string());
        fuzz::archive_metadata(&changed(document.as_bytes(), &changes, &cut));
    }

    #[test]
    fn a_good_member_with_arbitrary_changes_is_survived(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8), block in 0usize..30,
        cut in any::<prop::sample::Index>(),
    ) {
        let tar = GOOD.with(|good| good.frames[0][block * 512..].to_vec());
        fuzz::archive_tar(&changed(&tar, &changes, &cut));
    }
}
