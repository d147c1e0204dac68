//! Until there is a mounter.

use std::sync::Arc;

use strongroom_migrate::{HostError, Mounter, Plan, Standing, Trouble};

use super::{World, secret::Keyring};
use crate::Context;

struct Nothing;

pub(super) fn mounter(_: &Context, _: &World, _: Arc<Keyring>) -> Box<dyn Mounter + Send + Sync> {
    Box::new(Nothing)
}

fn no<T>() -> Result<T, HostError> {
    Err(HostError { attempted: "mounting".into(), trouble: Trouble::Other, source: "there is no mounter".into() })
}

impl Mounter for Nothing {
    fn prepare(&self, _: &Plan) -> Result<(), HostError> {
        no()
    }
    fn mount(&self, _: &Plan) -> Result<(), HostError> {
        no()
    }
    fn umount(&self, _: &Plan) -> Result<(), HostError> {
        no()
    }
    fn standing(&self, _: &Plan) -> Result<Standing, HostError> {
        Ok(Standing::Absent)
    }
    fn withdraw(&self, _: &Plan) -> Result<(), HostError> {
        Ok(())
    }
}
