//! What went in comes out.

use strongroom_archive::Algorithm;
use strongroom_event::Silent;

use crate::kit::*;

#[test]
fn a_tree_with_everything_comes_back_whatever_the_algorithm() {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("source");
    all_kinds(&source);
    for algorithm in Algorithm::ALL {
        for sealed in [false, true] {
            let (bytes, written) = Making::of(algorithm, sealed).write_tree(&source);
            assert_eq!(written.issues, []);
            let archive = opened(&bytes).unwrap();
            assert_eq!(archive.metadata(), &written.metadata);
            let report = archive.verify(2, &Silent).unwrap();
            assert_eq!(report.files, written.metadata.counts.files);
            let target = scratch.path().join(format!("{algorithm}-{sealed}"));
            extract(&archive, &target).unwrap();
            assert_same(&source, &target);
            assert_eq!(archive.keys().unwrap().as_deref(), Some(&b"{\"keys\": true}"[..]));
        }
    }
}
