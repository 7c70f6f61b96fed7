//! What a node does about its cluster when it starts, and again whenever something may have changed: one pure function.
//!
//! ```text
//! own disk ──┐
//! peers ─────┼▶ decide ─▶ boot · form · join · replace · resume · retire · wait
//! role ──────┘
//! ```
//!
//! All masters are equal, and etcd's consensus is the only arbiter. What must never happen is that a machine whose disk was
//! wiped takes part once more under the identity that it had: it has forgotten what it voted for. A wiped disk looks like a
//! new one, so only the others can tell, and whoever has no data therefore asks a majority first. Any majority contains
//! somebody who knows, as long as a majority of the data is left.
//!
//! One thing nobody can know: that a first member took part and was wiped before any of the others had seen it, which etcd
//! makes known within moments of a start.
//!
//! Each action is one step that may be cut off anywhere: whatever is then on disk and in the membership is the next
//! observation.

use crate::cluster::{Bootstrap, EtcdMode, Role};

/// All that a decision depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// What the node is for.
    pub role: Role,
    /// How the first control planes come up.
    pub bootstrap: Bootstrap,
    /// Where etcd runs.
    pub etcd: EtcdMode,
    /// Whether this is the master that begins, where only one does.
    pub is_first: bool,
    /// Whether the disk holds what makes this node part of a cluster: etcd's data on a master with an etcd of its own, the
    /// kubelet's identity on any other node.
    pub has_data: bool,
    /// Whether this very disk has asked a living cluster to be added, and no etcd has run on it since: a mark that is made
    /// before asking, and that a wiped disk has lost.
    pub has_asked: bool,
    /// What each of the others says that hold the cluster's etcd: masters, or the nodes of an external etcd. Whoever has data
    /// need not ask unless its own etcd finds no majority.
    pub peers: Vec<Peer>,
    /// Whether an API server of this cluster answers at the endpoint.
    pub endpoint_answers: bool,
}

/// What one of the others says of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Nothing: it is off, out of reach, or does not know yet what its own etcd holds.
    Silent,
    /// Its disk is empty.
    Fresh,
    /// It has data.
    Member {
        /// Whether it is one of a majority right now, so that what it says is the latest.
        quorate: bool,
        /// What it knows of this node.
        me: Standing,
    },
}

/// What a membership says of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It is no member.
    Absent,
    /// It was added to a living cluster and never started: a member without a name.
    Added,
    /// It belongs to the first membership and has not been seen yet: a member with a name and without client addresses.
    Expected,
    /// It has taken part.
    Started,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start everything with what is on disk.
    Boot,
    /// Start as one of the first members.
    Form,
    /// Enter the living cluster as a new member.
    Join,
    /// Take the member that this node was out of the living cluster. Joining is the next decision.
    Replace,
    /// Put the data aside: the living cluster has taken this member out for good. Joining is the next decision.
    Retire,
    /// Start as the member that was added for this node.
    Resume,
    /// Ask again later.
    Wait(Waiting),
}

/// What a node waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Too few other masters have answered to know whether there is a cluster.
    Peers {
        /// How many have.
        heard: usize,
        /// How many must.
        needed: usize,
    },
    /// There is a cluster that counts this node in, and it has no majority at present.
    Quorum,
    /// The first master has to begin.
    First,
    /// No API server answers at the endpoint.
    Endpoint,
}

/// The next action. Pure: the same observation gives the same action.
pub fn decide(observation: &Observation) -> Action {
    if observation.has_data {
        let is_out = |peer: &Peer| *peer == Peer::Member { quorate: true, me: Standing::Absent };
        return if observation.peers.iter().any(is_out) { Action::Retire } else { Action::Boot };
    }
    match observation.role {
        Role::Lb => Action::Boot,
        Role::Worker if observation.endpoint_answers => Action::Join,
        Role::Worker => Action::Wait(Waiting::Endpoint),
        // Its data lies on the etcd nodes, and everything that it does there can be done twice.
        Role::Master if observation.etcd == EtcdMode::External => Action::Form,
        Role::Master | Role::Etcd => member(observation),
    }
}

/// A node that is to hold etcd, with an empty disk.
fn member(observation: &Observation) -> Action {
    let members = || {
        observation.peers.iter().filter_map(|peer| match peer {
            // Where one begins alone, whoever has data has it from that one, which therefore has started.
            Peer::Member { quorate, me: Standing::Expected } if observation.bootstrap == Bootstrap::InitJoin => {
                Some((*quorate, Standing::Started))
            }
            Peer::Member { quorate, me } => Some((*quorate, *me)),
            Peer::Silent | Peer::Fresh => None,
        })
    };
    // The majority may be waiting for this very member. On any other disk it may have voted already and forgotten it.
    if observation.has_asked && members().any(|(_, me)| me == Standing::Added) {
        return Action::Resume;
    }
    // Whoever is one of a majority knows; the others may have missed something.
    if let Some((_, me)) = members().find(|(quorate, _)| *quorate) {
        return match me {
            Standing::Started | Standing::Added => Action::Replace,
            Standing::Absent => Action::Join,
            Standing::Expected => Action::Form,
        };
    }
    let knows = |standing: Standing| members().any(|(_, me)| me == standing);
    if knows(Standing::Started) || knows(Standing::Added) || knows(Standing::Absent) {
        return Action::Wait(Waiting::Quorum);
    }
    let heard = observation.peers.iter().filter(|peer| **peer != Peer::Silent).count();
    let others = observation.peers.len();
    let needed = match observation.bootstrap {
        // A majority of all masters, less this one.
        Bootstrap::Symmetric => others.div_ceil(2),
        // The cluster may consist of this master and any two others, and those two would have kept it.
        Bootstrap::InitJoin => others.saturating_sub(1),
    };
    if heard < needed {
        Action::Wait(Waiting::Peers { heard, needed })
    } else if observation.bootstrap == Bootstrap::InitJoin && !observation.is_first {
        Action::Wait(Waiting::First)
    } else {
        Action::Form
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn master(peers: &[Peer]) -> Observation {
        Observation {
            role: Role::Master,
            bootstrap: Bootstrap::Symmetric,
            etcd: EtcdMode::Stacked,
            is_first: false,
            has_data: false,
            has_asked: false,
            peers: peers.to_vec(),
            endpoint_answers: false,
        }
    }

    fn says(quorate: bool, me: Standing) -> Peer {
        Peer::Member { quorate, me }
    }

    #[test]
    fn with_data_it_just_boots() {
        let peers = [says(true, Standing::Started), Peer::Silent];
        for role in Role::ALL {
            assert_eq!(decide(&Observation { role, has_data: true, ..master(&peers) }), Action::Boot);
        }
    }

    #[test]
    fn who_was_taken_out_begins_anew() {
        let with = |peers: &[Peer]| decide(&Observation { has_data: true, ..master(peers) });
        assert_eq!(with(&[Peer::Silent, says(true, Standing::Absent)]), Action::Retire);
        // Somebody without a majority may have missed that it was added.
        assert_eq!(with(&[Peer::Fresh, says(false, Standing::Absent)]), Action::Boot);
    }

    #[test]
    fn an_empty_master_asks_a_majority() {
        use Peer::{Fresh, Silent};
        assert_eq!(decide(&master(&[])), Action::Form);
        assert_eq!(decide(&master(&[Fresh, Silent])), Action::Form);
        assert_eq!(decide(&master(&[Silent, Silent])), Action::Wait(Waiting::Peers { heard: 0, needed: 1 }));
        assert_eq!(
            decide(&master(&[Fresh, Silent, Silent, Silent])),
            Action::Wait(Waiting::Peers { heard: 1, needed: 2 })
        );
        assert_eq!(decide(&master(&[says(false, Standing::Expected), Silent])), Action::Form);
    }

    #[test]
    fn a_living_cluster_decides() {
        let with = |me| decide(&master(&[Peer::Silent, says(true, me)]));
        assert_eq!(with(Standing::Started), Action::Replace);
        assert_eq!(with(Standing::Added), Action::Replace);
        assert_eq!(with(Standing::Absent), Action::Join);
        assert_eq!(with(Standing::Expected), Action::Form);
    }

    #[test]
    fn a_cluster_without_a_majority_is_waited_for() {
        let with = |me| decide(&master(&[Peer::Fresh, says(false, me)]));
        assert_eq!(with(Standing::Started), Action::Wait(Waiting::Quorum));
        assert_eq!(with(Standing::Absent), Action::Wait(Waiting::Quorum));
        assert_eq!(with(Standing::Added), Action::Wait(Waiting::Quorum));
        let asked = Observation { has_asked: true, ..master(&[Peer::Fresh, says(false, Standing::Added)]) };
        assert_eq!(decide(&asked), Action::Resume);
    }

    #[test]
    fn one_begins_where_only_one_may() {
        let second = Observation { bootstrap: Bootstrap::InitJoin, ..master(&[Peer::Fresh, Peer::Fresh]) };
        assert_eq!(decide(&second), Action::Wait(Waiting::First));
        assert_eq!(decide(&Observation { is_first: true, ..second }), Action::Form);
        let again = Observation {
            bootstrap: Bootstrap::InitJoin,
            is_first: true,
            ..master(&[says(false, Standing::Expected)])
        };
        assert_eq!(decide(&again), Action::Wait(Waiting::Quorum));
    }

    #[test]
    fn a_member_of_an_external_etcd_decides_like_a_master() {
        for peers in
            [[Peer::Fresh, Peer::Silent], [Peer::Silent, Peer::Silent], [Peer::Silent, says(true, Standing::Started)]]
        {
            let node = Observation { role: Role::Etcd, etcd: EtcdMode::External, ..master(&peers) };
            assert_eq!(decide(&node), decide(&master(&peers)));
        }
    }

    #[test]
    fn a_worker_follows_the_endpoint() {
        let worker = Observation { role: Role::Worker, ..master(&[]) };
        assert_eq!(decide(&worker), Action::Wait(Waiting::Endpoint));
        assert_eq!(decide(&Observation { endpoint_answers: true, ..worker }), Action::Join);
    }
}
