//! Whatever was changed comes home, and can be taken back until then.

use proptest::prelude::*;
use strongroom_event::Silent;
use strongroom_migrate::{Carry, MigrateError, Place, Point, Porter};
use strongroom_tree::LocalTree;

use crate::world::{Op, World, listing, op};

pub fn porter() -> Porter<'static> {
    Porter { workers: 2, leaves_obstacles: false, observer: &Silent, is_to_stop: &|| false }
}

/// Carries, and claims that the original is what the vault is, and that nothing is left over.
fn carried(world: &World) {
    let carry = Carry::new(&world.plan(), &Place::at(&world.place()), porter());
    let vault = LocalTree::open(&world.vault()).unwrap();
    let before = listing(&world.original());
    let refused: MigrateError = MigrateError::Unhealthy { why: "no mount today".into() };
    let mut refused = Some(refused);
    let mut never = || Err(refused.take().unwrap());
    carry.apply(&vault, &mut never, &mut |_| panic!("committed without a comparison")).unwrap_err();
    assert_eq!(listing(&world.original()), before, "taken back");
    assert_eq!(world.litter(), [""; 0], "taken back");
    let foreseen = carry.preview(&vault).unwrap();
    let mut committed = 0;
    let mut count = |point: Point<'_>| {
        committed += u32::from(matches!(point, Point::Committed(_)));
        Ok(())
    };
    carry.apply(&vault, &mut || world.fresh(), &mut count).unwrap();
    assert_eq!(committed, 1);
    assert_eq!(listing(&world.original()), listing(&world.vault()), "{foreseen:?}");
    assert_eq!(world.litter(), [""; 0]);
    assert!(carry.preview(&vault).unwrap().is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn whatever_was_changed_comes_home_and_can_be_taken_back_until_then(
        before in prop::collection::vec(op(), 0..24),
        after in prop::collection::vec(op(), 0..24),
    ) {
        let world = World::new(&before);
        after.iter().for_each(|op: &Op| op.apply(&world.vault()));
        carried(&world);
    }
}
