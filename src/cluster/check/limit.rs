//! Combinations that the catalogue refuses.

use super::Check;
use crate::cluster::Cluster;

pub(super) fn check(_check: &mut Check<'_>, _cluster: &Cluster) {}
