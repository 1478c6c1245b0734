//! The commands, one file each.

pub(crate) mod apply;
pub(crate) mod bench;
pub(crate) mod bundle;
pub(crate) mod deploy;
pub(crate) mod destroy;
pub(crate) mod export;
pub(crate) mod invoke;
pub(crate) mod load;
pub(crate) mod local;
pub(crate) mod optimize;
pub(crate) mod plan;
pub(crate) mod prepare;
pub(crate) mod rollback;
pub(crate) mod status;
pub(crate) mod validate;
pub(crate) mod verify;
