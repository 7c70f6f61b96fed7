//! A small and faithful model of etcd: each member has a disk with a term, a vote and a log; the membership is what the
//! committed part of the log says; elections and replication follow Raft's rules (Ongaro and Ousterhout 2014, figure 2), one
//! atomic step at a time between whoever can hear each other.
//!
//! It knows no clock: when a step happens is up to the schedule. And it watches: an entry that was committed may never be
//! another one later.

use std::collections::BTreeMap;

/// Identity of a member. The first ones follow from the first membership; later ones are new each time.
pub type Id = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The first membership: all masters in symmetric mode, or this one alone. Two of them are two clusters.
    Init {
        cluster: u64,
        alone: Option<usize>,
    },
    /// A new leader's first entry.
    Noop,
    /// A member tells its clients' addresses, once it has a leader.
    Publish(Id),
    /// A new member for a node. It has no name until it publishes.
    Add {
        id: Id,
        node: usize,
    },
    Remove(Id),
    /// Somebody's data.
    Write(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub term: u64,
    pub what: What,
}

#[derive(Debug, Clone)]
pub struct Disk {
    pub id: Id,
    term: u64,
    voted: Option<Id>,
    pub log: Vec<Entry>,
    commit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    pub node: usize,
    /// Whether it has a name: the first ones have, others once they started.
    pub named: bool,
    pub published: bool,
}

pub type Members = BTreeMap<Id, Member>;

/// Identity of a node in the first membership.
pub fn first_id(node: usize) -> Id {
    node as Id + 1
}

impl Disk {
    pub fn first(node: usize, cluster: u64, alone: bool) -> Self {
        let init = Entry { term: 1, what: What::Init { cluster, alone: alone.then_some(node) } };
        Self { id: first_id(node), term: 1, voted: None, log: vec![init], commit: 1 }
    }

    pub fn joining(id: Id) -> Self {
        Self { id, term: 0, voted: None, log: Vec::new(), commit: 0 }
    }

    /// The membership that it has applied.
    pub fn members(&self, masters: usize) -> Members {
        let mut members = Members::new();
        for entry in &self.log[..self.commit] {
            match entry.what {
                What::Init { alone, .. } => {
                    for node in (0..masters).filter(|node| alone.is_none_or(|one| one == *node)) {
                        members.insert(first_id(node), Member { node, named: true, published: false });
                    }
                }
                What::Add { id, node } => {
                    members.insert(id, Member { node, named: false, published: false });
                }
                What::Remove(id) => {
                    members.remove(&id);
                }
                What::Publish(id) => {
                    if let Some(member) = members.get_mut(&id) {
                        (member.named, member.published) = (true, true);
                    }
                }
                What::Noop | What::Write(_) => {}
            }
        }
        members
    }

    fn age(&self) -> (u64, usize) {
        (self.log.last().map_or(0, |entry| entry.term), self.log.len())
    }
}

/// All etcds, and who hears whom.
pub struct World {
    pub disks: Vec<Option<Disk>>,
    /// Whether etcd runs there.
    pub runs: Vec<bool>,
    leads: Vec<Option<u64>>,
    /// Nodes in different islands do not hear each other; those that are off are in none.
    pub island: Vec<Option<usize>>,
    /// Every entry that was ever committed.
    pub committed: Vec<Entry>,
    next: u64,
}

impl World {
    pub fn new(masters: usize) -> Self {
        Self {
            disks: vec![None; masters],
            runs: vec![false; masters],
            leads: vec![None; masters],
            island: vec![None; masters],
            committed: Vec::new(),
            next: 1000,
        }
    }

    pub fn masters(&self) -> usize {
        self.disks.len()
    }

    /// A number that was never used.
    pub fn fresh(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub fn hears(&self, a: usize, b: usize) -> bool {
        self.island[a].is_some() && self.island[a] == self.island[b]
    }

    pub fn stop(&mut self, node: usize) {
        self.runs[node] = false;
        self.leads[node] = None;
    }

    fn disk(&self, node: usize) -> &Disk {
        self.disks[node].as_ref().expect("an etcd that runs has data")
    }

    fn disk_mut(&mut self, node: usize) -> &mut Disk {
        self.disks[node].as_mut().expect("an etcd that runs has data")
    }

    pub fn members_at(&self, node: usize) -> Members {
        self.disk(node).members(self.masters())
    }

    /// The running etcd of this member that `from` can talk to.
    fn peer(&self, from: usize, id: Id, member: Member) -> Option<usize> {
        let node = member.node;
        let there =
            self.runs[node] && self.hears(from, node) && self.disks[node].as_ref().is_some_and(|disk| disk.id == id);
        there.then_some(node)
    }

    fn peers(&self, from: usize) -> Vec<usize> {
        self.members_at(from).into_iter().filter_map(|(id, member)| self.peer(from, id, member)).collect()
    }

    /// `node` stands for election.
    pub fn elect(&mut self, node: usize) {
        if !self.runs[node] || !self.members_at(node).contains_key(&self.disk(node).id) {
            return;
        }
        let (size, peers) = (self.members_at(node).len(), self.peers(node));
        let (term, id, age) = (self.disk(node).term + 1, self.disk(node).id, self.disk(node).age());
        let mut votes = 0;
        for peer in peers {
            let disk = self.disk_mut(peer);
            if disk.term < term {
                (disk.term, disk.voted) = (term, None);
                self.leads[peer] = None;
            }
            let disk = self.disk_mut(peer);
            if disk.term == term && disk.voted.is_none_or(|other| other == id) && age >= disk.age() {
                disk.voted = Some(id);
                votes += 1;
            }
        }
        if votes * 2 > size {
            self.leads[node] = Some(term);
            self.append(node, What::Noop);
        }
    }

    fn append(&mut self, leader: usize, what: What) {
        let disk = self.disk_mut(leader);
        let term = disk.term;
        disk.log.push(Entry { term, what });
    }

    /// `leader` sends its log to those of `to` that can hear it, and commits what a majority has.
    pub fn replicate(&mut self, leader: usize, to: impl Fn(usize) -> bool) -> Result<(), String> {
        let Some(term) = self.leads[leader].filter(|_| self.runs[leader]) else { return Ok(()) };
        let members = self.members_at(leader);
        for node in self.peers(leader) {
            if node == leader || !to(node) {
                continue;
            }
            let (log, commit) = (self.disk(leader).log.clone(), self.disk(leader).commit);
            let disk = self.disk_mut(node);
            if disk.term > term {
                let newer = disk.term;
                self.leads[leader] = None;
                let own = self.disk_mut(leader);
                (own.term, own.voted) = (newer, None);
                return Ok(());
            }
            if disk.term < term {
                (disk.term, disk.voted) = (term, None);
            }
            if log.get(..disk.commit) != disk.log.get(..disk.commit) {
                return Err(format!("node {leader} overwrites what node {node} had committed"));
            }
            // A follower keeps what goes beyond an equal beginning; a leader's log is never shorter than that in these steps.
            disk.log = log;
            disk.commit = disk.commit.max(commit);
            self.leads[node] = None;
        }
        let own = self.disk(leader).clone();
        let has = |end: usize| {
            let holds = |(id, member): (&Id, &Member)| {
                self.peer(leader, *id, *member).is_some_and(|node| self.disk(node).log.get(..end) == own.log.get(..end))
            };
            members.iter().filter(|member| holds(*member)).count() * 2 > members.len()
        };
        let reached = (own.commit + 1..=own.log.len()).rev().find(|end| own.log[end - 1].term == term && has(*end));
        if let Some(end) = reached {
            self.disk_mut(leader).commit = end;
            self.witness(leader)?;
        }
        Ok(())
    }

    /// Compares what `node` believes committed with what ever was.
    pub fn witness(&mut self, node: usize) -> Result<(), String> {
        let disk = self.disk(node).clone();
        for (at, entry) in disk.log[..disk.commit].iter().enumerate() {
            match self.committed.get(at) {
                Some(known) if known == entry => {}
                Some(known) => {
                    return Err(format!("entry {at} was {known:?}, and node {node} has committed {entry:?}"));
                }
                None => self.committed.push(*entry),
            }
        }
        Ok(())
    }

    /// The leader that `at` follows now: in reach, heard by a majority of its members, none of whom knows a later term.
    pub fn leader(&self, at: usize) -> Option<usize> {
        (0..self.masters()).find(|node| {
            let Some(term) = self.leads[*node].filter(|_| self.runs[*node] && self.runs[at] && self.hears(*node, at))
            else {
                return false;
            };
            let peers = self.peers(*node);
            let current = peers.iter().filter(|peer| self.disk(**peer).term <= term).count();
            let own = self.disk(*node);
            // A new leader answers once it has committed something of its own term.
            let settled = own.log[..own.commit].last().is_some_and(|entry| entry.term == term);
            settled && current == peers.len() && current * 2 > self.members_at(*node).len()
        })
    }

    /// A client's wish, through the etcd at `at`. Says whether it was committed; if not, it may be yet.
    pub fn propose(&mut self, at: usize, what: What) -> Result<bool, String> {
        let Some(leader) = self.leader(at) else { return Ok(false) };
        let is_membership = |what: &What| matches!(what, What::Add { .. } | What::Remove(_));
        let disk = self.disk(leader);
        if is_membership(&what) && disk.log[disk.commit..].iter().any(|entry| is_membership(&entry.what)) {
            return Ok(false);
        }
        self.append(leader, what);
        let end = self.disk(leader).log.len();
        self.replicate(leader, |_| true)?;
        // The second round tells the followers.
        self.replicate(leader, |_| true)?;
        Ok(self.disk(leader).commit >= end)
    }

    /// A running member makes itself known.
    pub fn publish(&mut self, node: usize) -> Result<(), String> {
        if self.runs[node] && self.leader(node).is_some() {
            let id = self.disk(node).id;
            if self.members_at(node).get(&id).is_some_and(|member| !member.published) {
                self.propose(node, What::Publish(id))?;
            }
        }
        Ok(())
    }

    /// Whether everything committed would still be on a majority's disks without that of `node`.
    pub fn survives_without(&self, node: usize) -> bool {
        let Some(knowing) = (0..self.masters())
            .filter(|other| self.disks[*other].is_some())
            .max_by_key(|other| self.disk(*other).commit)
        else {
            return true;
        };
        let all = &self.committed;
        let members = self.members_at(knowing);
        let holders = members.iter().filter(|(id, member)| {
            let disk = self.disks[member.node].as_ref().filter(|disk| disk.id == **id && member.node != node);
            disk.is_some_and(|disk| disk.log.get(..all.len()) == Some(all.as_slice()))
        });
        self.disk(knowing).commit == all.len() && holders.count() * 2 > members.len()
    }

    /// Whether `node` has no data, or is a first member no more, or one that everybody with data has seen.
    pub fn is_known(&self, node: usize) -> bool {
        let Some(id) = self.disks[node].as_ref().map(|disk| disk.id).filter(|id| *id == first_id(node)) else {
            return true;
        };
        let seen = |disk: &Disk| disk.members(self.masters()).get(&id).is_none_or(|member| member.published);
        self.disks.iter().flatten().all(seen)
    }
}
