//! Thousands of disasters: power cuts, wiped disks, partitions, absent nodes, slow starts and wrong clocks, for one, three
//! and five masters that run the real decision on a model of etcd. Never two clusters, nothing committed is lost while a
//! majority of the data is left, and with everybody who is needed back, all are in.

use std::collections::BTreeSet;

use khimg::cluster::{Bootstrap, EtcdMode, Role};
use khimg::node::decision::{Action, Observation, Peer, Standing, Waiting, decide};

use super::etcd::{Disk, Members, What, World};

/// Schedules for each number of masters and each way to begin.
const SEEDS: u64 = 2000;

/// Steps of each schedule before everything heals.
const STEPS: usize = 250;

/// Steps that healing may take.
const PATIENCE: usize = 400;

/// SplitMix64 (Steele, Lea and Flood 2014): the same schedule from the same seed for ever.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % sides as u64) as usize
    }
}

struct Simulation {
    world: World,
    bootstrap: Bootstrap,
    decide: fn(&Observation) -> Action,
    /// The mark on the disk that it wants to be added.
    asked: Vec<bool>,
    /// The mark on the disk that its etcd was started into a living cluster and has not been seen among the majority yet.
    entering: Vec<bool>,
    /// Switched on.
    on: Vec<bool>,
    /// Its clock is so wrong that nobody accepts its certificates, nor it theirs.
    skewed: Vec<bool>,
    /// Which side of a partition it is on.
    side: Vec<usize>,
    history: Vec<String>,
}

impl Simulation {
    fn new(masters: usize, bootstrap: Bootstrap, decide: fn(&Observation) -> Action) -> Self {
        Self {
            world: World::new(masters),
            bootstrap,
            decide,
            asked: vec![false; masters],
            entering: vec![false; masters],
            on: vec![false; masters],
            skewed: vec![false; masters],
            side: vec![0; masters],
            history: Vec::new(),
        }
    }

    fn masters(&self) -> usize {
        self.on.len()
    }

    fn reconnect(&mut self) {
        for node in 0..self.masters() {
            // Somebody with a wrong clock is alone.
            let island = if self.skewed[node] { 100 + node } else { self.side[node] };
            self.world.island[node] = self.on[node].then_some(island);
        }
    }

    fn power(&mut self, node: usize, on: bool) {
        self.on[node] = on;
        self.world.stop(node);
        self.reconnect();
    }

    fn standing(&self, members: &Members, node: usize) -> Standing {
        // Etcd tells members apart by their addresses: of one node there may be several in the membership for a moment.
        let own = members.values().filter(|member| member.node == node);
        own.map(|member| match (member.published, member.named) {
            (true, _) => Standing::Started,
            (false, true) => Standing::Expected,
            (false, false) => Standing::Added,
        })
        .next()
        .unwrap_or(Standing::Absent)
    }

    fn observe(&self, node: usize) -> Observation {
        let peer = |peer: usize| {
            if !self.world.hears(node, peer) {
                Peer::Silent
            } else if self.world.disks[peer].is_none() {
                Peer::Fresh
            } else if !self.world.runs[peer] {
                Peer::Silent
            } else {
                let leader = self.world.leader(peer);
                if leader.is_none() && self.entering[peer] {
                    return Peer::Silent;
                }
                let members = self.world.members_at(leader.unwrap_or(peer));
                if members.is_empty() {
                    // It is joining and has heard nothing yet.
                    return Peer::Silent;
                }
                Peer::Member { quorate: leader.is_some(), me: self.standing(&members, node) }
            }
        };
        Observation {
            role: Role::Master,
            bootstrap: self.bootstrap,
            etcd: EtcdMode::Stacked,
            is_first: node == 0,
            has_data: self.world.disks[node].is_some(),
            has_asked: self.asked[node],
            peers: (0..self.masters()).filter(|other| *other != node).map(peer).collect(),
            endpoint_answers: false,
        }
    }

    /// One turn of the agent on `node`: look, decide, do one step. The power may go between the two halves of a join.
    fn act(&mut self, node: usize, dice: &mut Dice) -> Result<(), String> {
        if !self.on[node] {
            return Ok(());
        }
        let action = (self.decide)(&self.observe(node));
        if action != Action::Boot || !self.world.runs[node] {
            self.history.push(format!("node {node}: {action:?}"));
        }
        let with_leader = (0..self.masters())
            .find(|peer| *peer != node && self.world.hears(node, *peer) && self.world.leader(*peer).is_some());
        match action {
            Action::Wait(_) => {}
            Action::Boot => {
                self.world.runs[node] = true;
                self.asked[node] = false;
                self.entering[node] &= self.world.leader(node).is_none();
            }
            Action::Form => {
                let alone = self.bootstrap == Bootstrap::InitJoin;
                let cluster = if alone { self.world.fresh() } else { 0 };
                (self.asked[node], self.entering[node]) = (false, false);
                self.world.disks[node] = Some(Disk::first(node, cluster, alone));
                self.world.runs[node] = true;
                if alone {
                    self.world.elect(node);
                }
            }
            Action::Replace => {
                let Some(peer) = with_leader else { return Ok(()) };
                let members = self.world.members_at(self.world.leader(peer).unwrap_or(peer));
                if let Some((id, _)) = members.iter().find(|(_, member)| member.node == node) {
                    self.world.propose(peer, What::Remove(*id))?;
                }
            }
            Action::Retire => {
                self.world.stop(node);
                self.world.disks[node] = None;
                (self.asked[node], self.entering[node]) = (false, false);
            }
            Action::Join => {
                let Some(peer) = with_leader else { return Ok(()) };
                let id = self.world.fresh();
                self.asked[node] = true;
                let was_added = self.world.propose(peer, What::Add { id, node })?;
                if was_added && dice.roll(5) > 0 {
                    self.entering[node] = true;
                    self.world.disks[node] = Some(Disk::joining(id));
                    self.world.runs[node] = true;
                } else if dice.roll(2) == 0 {
                    self.power(node, false);
                }
            }
            Action::Resume => {
                let views = (0..self.masters()).filter(|peer| self.world.hears(node, *peer) && self.world.runs[*peer]);
                let mut added = views.filter_map(|peer| {
                    let members = self.world.members_at(peer);
                    members.into_iter().find(|(_, member)| member.node == node && !member.named).map(|(id, _)| id)
                });
                if let Some(id) = added.next() {
                    self.entering[node] = true;
                    self.world.disks[node] = Some(Disk::joining(id));
                    self.world.runs[node] = true;
                }
            }
        }
        Ok(())
    }

    /// Something in etcd goes on by itself.
    fn etcd(&mut self, node: usize, dice: &mut Dice) -> Result<(), String> {
        match dice.roll(4) {
            0 if self.world.leader(node).is_none() || dice.roll(10) == 0 => self.world.elect(node),
            0 | 1 => {
                let who: Vec<bool> = (0..self.masters()).map(|_| dice.roll(3) > 0).collect();
                self.world.replicate(node, |node| who[node])?;
            }
            2 => self.world.publish(node)?,
            _ => {
                if self.world.runs[node] {
                    let write = self.world.fresh();
                    self.world.propose(node, What::Write(write))?;
                }
            }
        }
        Ok(())
    }

    fn disaster(&mut self, node: usize, dice: &mut Dice) -> Result<(), String> {
        let told = match dice.roll(11) {
            0 | 1 => {
                self.power(node, false);
                "power off"
            }
            2..=4 => {
                self.power(node, true);
                "power on"
            }
            5 if self.world.survives_without(node) && self.world.is_known(node) => {
                self.power(node, false);
                self.world.disks[node] = None;
                (self.asked[node], self.entering[node]) = (false, false);
                "wiped"
            }
            6 => {
                self.side = (0..self.masters()).map(|_| dice.roll(2)).collect();
                "partition"
            }
            7 => {
                self.side = vec![0; self.masters()];
                "healed"
            }
            8 => {
                self.skewed[node] = !self.skewed[node];
                "clock"
            }
            9 => {
                for other in 0..self.masters() {
                    self.power(other, false);
                }
                "all power off"
            }
            10 if !self.on[node] => {
                let Some(peer) = (0..self.masters()).find(|peer| self.world.leader(*peer).is_some()) else {
                    return Ok(());
                };
                let members = self.world.members_at(self.world.leader(peer).unwrap_or(peer));
                let Some((id, _)) = members.iter().find(|(_, member)| member.node == node) else { return Ok(()) };
                self.world.propose(peer, What::Remove(*id))?;
                "taken out by hand"
            }
            _ => return Ok(()),
        };
        self.history.push(format!("node {node}: {told} {:?}", self.side));
        self.reconnect();
        Ok(())
    }

    /// Who is a member that started, has its identity on disk, and has everything that was ever committed.
    fn is_ready(&self, node: usize) -> bool {
        let Some(disk) = &self.world.disks[node] else { return false };
        let Some(leader) = self.world.leader(node) else { return false };
        let members = self.world.members_at(leader);
        let is_member = members.get(&disk.id).is_some_and(|member| member.node == node && member.published);
        is_member && disk.log.len() >= self.world.committed.len()
    }

    fn run(&mut self, seed: u64) -> Result<(), String> {
        let mut dice = Dice(seed);
        // Some nodes are never switched on before the end, and sometimes not even then.
        for node in 0..self.masters() {
            if dice.roll(4) > 0 {
                self.power(node, true);
            }
        }
        let calm = 3 + dice.roll(40);
        for _ in 0..STEPS {
            let node = dice.roll(self.masters());
            match dice.roll(calm + 2) {
                0 => self.disaster(node, &mut dice)?,
                1..=3 => self.act(node, &mut dice)?,
                _ => self.etcd(node, &mut dice)?,
            }
        }
        self.heal(&mut dice)
    }

    /// Everything that is needed comes back; what was absent may stay so, as long as a majority of the data is there.
    fn heal(&mut self, dice: &mut Dice) -> Result<(), String> {
        self.history.push("everything heals".to_owned());
        self.side = vec![0; self.masters()];
        self.skewed = vec![false; self.masters()];
        for node in 0..self.masters() {
            if !self.on[node] {
                self.power(node, true);
            }
        }
        let absent = dice.roll(self.masters());
        let may_miss = self.masters() > 2 && self.bootstrap == Bootstrap::Symmetric && dice.roll(3) == 0;
        // Whose membership is pending or alone carries a majority cannot be missed.
        if may_miss && self.world.survives_without(absent) && self.world.disks.iter().flatten().count() != 1 {
            self.power(absent, false);
            self.history.push(format!("node {absent} stays away"));
        }
        self.reconnect();
        for round in 0..PATIENCE {
            for node in 0..self.masters() {
                if round % 3 == node % 3 {
                    self.act(node, dice)?;
                    // A join may still be cut off, but whoever is needed comes back.
                    if !(self.on[node] || may_miss && node == absent) {
                        self.power(node, true);
                    }
                }
            }
            if !(0..self.masters()).any(|node| self.world.leader(node).is_some()) {
                let candidate = dice.roll(self.masters());
                self.world.elect(candidate);
            }
            for node in 0..self.masters() {
                self.world.replicate(node, |_| true)?;
                self.world.publish(node)?;
            }
            if (0..self.masters()).all(|node| !self.on[node] || self.is_ready(node)) {
                return self.confirm();
            }
        }
        let ready: Vec<bool> = (0..self.masters()).map(|node| self.is_ready(node)).collect();
        let seen: Vec<_> = (0..self.masters()).map(|node| decide(&self.observe(node))).collect();
        Err(format!("not all are ready in the end: {ready:?}, on {:?}, {seen:?}", self.on))
    }

    /// One cluster, each node in it once.
    fn confirm(&mut self) -> Result<(), String> {
        for node in (0..self.masters()).filter(|node| self.world.runs[*node]).collect::<Vec<_>>() {
            self.world.witness(node)?;
        }
        let first = (0..self.masters()).find_map(|node| self.world.leader(node)).ok_or("no leader in the end")?;
        let mut nodes: Vec<usize> = self.world.members_at(first).values().map(|member| member.node).collect();
        nodes.sort_unstable();
        let twice = nodes.windows(2).any(|pair| pair[0] == pair[1]);
        if twice { Err(format!("a node is a member twice: {nodes:?}")) } else { Ok(()) }
    }
}

/// Runs all schedules. Gives every action that a master took in one of them.
fn simulate(masters: usize, bootstrap: Bootstrap) -> BTreeSet<&'static str> {
    let mut taken = BTreeSet::new();
    for seed in 0..SEEDS {
        let mut simulation = Simulation::new(masters, bootstrap, decide);
        if let Err(reason) = simulation.run(seed) {
            let history = simulation.history.join("\n  ");
            panic!("{masters} masters, {bootstrap:?}, seed {seed}: {reason}\n  {history}");
        }
        let all = ["Boot", "Form", "Join", "Replace", "Resume", "Retire", "Wait(Peers", "Wait(Quorum)", "Wait(First)"];
        taken.extend(all.into_iter().filter(|action| simulation.history.iter().any(|line| line.contains(action))));
    }
    taken
}

#[test]
fn symmetric_masters_form_one_cluster_and_keep_it() {
    let taken: BTreeSet<_> =
        [1, 3, 5].into_iter().flat_map(|masters| simulate(masters, Bootstrap::Symmetric)).collect();
    let expected = ["Boot", "Form", "Join", "Replace", "Resume", "Retire", "Wait(Peers", "Wait(Quorum)"];
    assert_eq!(taken, BTreeSet::from(expected), "the schedules lead everywhere");
}

#[test]
fn a_first_master_and_its_followers_form_one_cluster_and_keep_it() {
    let taken: BTreeSet<_> = [1, 3, 5].into_iter().flat_map(|masters| simulate(masters, Bootstrap::InitJoin)).collect();
    assert_eq!(taken.len(), 9, "the schedules lead everywhere: {taken:?}");
}

/// Whether the simulation sees anything: masters that take an empty disk for a new one, unless a living cluster tells them
/// otherwise, must fail in it.
#[test]
fn the_simulation_finds_what_is_wrong_with_asking_nobody() {
    let naive = |observation: &Observation| match decide(observation) {
        Action::Wait(Waiting::Peers { .. } | Waiting::Quorum) => Action::Form,
        // It mends what comes of that.
        Action::Retire => Action::Boot,
        action => action,
    };
    let failed = |seed: &u64| Simulation::new(3, Bootstrap::Symmetric, naive).run(*seed).is_err();
    assert!((0..SEEDS).any(|seed| failed(&seed)));
}
