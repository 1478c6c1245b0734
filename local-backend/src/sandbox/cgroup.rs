//! Control groups, versions 1 and 2: finding where they can be made, limiting, reading, killing.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use rustix::process::{Pid, Signal, kill_process};

use crate::function::CPU_PERIOD_US;
use crate::sandbox::{Limits, MemoryUse, ResizeError};

const CPU: &str = "cpu";
const MEMORY: &str = "memory";
/// Rounds of killing before processes that cannot be killed are left to the kernel.
const KILL_ROUNDS: usize = 200;
const KILL_PAUSE: Duration = Duration::from_millis(5);

/// What the kernel says about its control groups: the text of two files of `/proc/self`.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// `mountinfo`.
    pub(crate) mounts: String,
    /// `cgroup`.
    pub(crate) own: String,
}

/// Directories in which groups for instances can be made.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Parents {
    /// Version 1: the directory of the CPU controller. Version 2: the only one.
    pub(crate) cpu: Option<PathBuf>,
    /// Version 1: the directory of the memory controller. Version 2: the only one.
    pub(crate) memory: Option<PathBuf>,
    /// One sentence for every limit that cannot be enforced.
    pub(crate) notices: Vec<String>,
}

/// Where a hierarchy is mounted.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Mount {
    /// Directory within the hierarchy that is mounted.
    root: String,
    point: PathBuf,
    version: u8,
    controllers: BTreeSet<String>,
}

impl Layout {
    /// The layout of this machine; empty where there are no control groups.
    pub(crate) fn of_this_machine() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self { mounts: read("/proc/self/mountinfo"), own: read("/proc/self/cgroup") }
    }

    fn mounts(&self) -> Vec<Mount> {
        self.mounts.lines().filter_map(parse_mount).collect()
    }

    /// Own group within the hierarchy of a controller, or of version 2 if none is given.
    fn own_group(&self, controller: Option<&str>) -> Option<&str> {
        self.own.lines().find_map(|line| {
            let (id, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            let wanted = match controller {
                Some(controller) => controllers.split(',').any(|known| known == controller),
                None => id == "0" && controllers.is_empty(),
            };
            wanted.then_some(path)
        })
    }

    /// Makes a group called `name` for each controller, in the first place where that is possible.
    pub(crate) fn make_parents(&self, name: &str) -> Parents {
        let mounts = self.mounts();
        let mut parents = Parents::default();
        let mut unified = Vec::new();
        for controller in [CPU, MEMORY] {
            let first =
                mounts.iter().find(|m| m.version == 1 && m.controllers.contains(controller));
            let Some(mount) = first else {
                unified.push(controller);
                continue;
            };
            let own = self.own_group(Some(controller)).unwrap_or("/");
            let made = make_first(mount, own, |parent| {
                let group = parent.join(name);
                create_dir(&group)?;
                Ok(group)
            });
            parents.note(&[controller], made);
        }
        if unified.is_empty() {
            return parents;
        }
        let Some(mount) = mounts.iter().find(|mount| mount.version == 2) else {
            parents.note(&unified, Err("no cgroup hierarchy with it is mounted".to_owned()));
            return parents;
        };
        // A process is in one group of version 2 only: one that has all controllers, or else one.
        let own = self.own_group(None).unwrap_or("/");
        let make = |controllers: &[&str]| {
            make_first(mount, own, |parent| make_delegated(parent, name, controllers))
        };
        let all = make(&unified);
        if all.is_ok() || unified.len() == 1 {
            parents.note(&unified, all);
            return parents;
        }
        let memory = make(&[MEMORY]);
        let cpu = if memory.is_ok() { all } else { make(&[CPU]) };
        parents.note(&[CPU], cpu);
        parents.note(&[MEMORY], memory);
        parents
    }
}

impl Parents {
    fn note(&mut self, controllers: &[&str], made: Result<PathBuf, String>) {
        for controller in controllers {
            let (place, limit) = match *controller {
                CPU => (&mut self.cpu, "vCPU"),
                _ => (&mut self.memory, "memory"),
            };
            match &made {
                Ok(path) => *place = Some(path.clone()),
                Err(reason) => self.notices.push(format!(
                    "{limit} limits are not enforced: the {controller} controller cannot be used, {reason}"
                )),
            }
        }
    }
}

/// Tries own group first, then its parents up to the mount point.
fn make_first(
    mount: &Mount,
    own: &str,
    make: impl Fn(&Path) -> io::Result<PathBuf>,
) -> Result<PathBuf, String> {
    let below = own.strip_prefix(mount.root.trim_end_matches('/')).unwrap_or(own);
    let lowest = mount.point.join(below.trim_start_matches('/'));
    let mut reason = format!("{} has no groups", mount.point.display());
    for parent in lowest.ancestors().take_while(|path| path.starts_with(&mount.point)) {
        match make(parent) {
            Ok(group) => return Ok(group),
            Err(error) => reason = format!("{} cannot be used ({error})", parent.display()),
        }
    }
    Err(reason)
}

/// Version 2: a group takes part in a controller only if every group above it hands it down, and
/// a group with processes of its own cannot.
fn make_delegated(parent: &Path, name: &str, controllers: &[&str]) -> io::Result<PathBuf> {
    let hand_down = |group: &Path| {
        let control = group.join("cgroup.subtree_control");
        let known = fs::read_to_string(&control)?;
        let lacks = |controller: &&&str| !known.split_whitespace().any(|k| k == **controller);
        let missing: Vec<String> =
            controllers.iter().filter(lacks).map(|controller| format!("+{controller}")).collect();
        if missing.is_empty() { Ok(()) } else { fs::write(control, missing.join(" ")) }
    };
    hand_down(parent)?;
    let group = parent.join(name);
    create_dir(&group)?;
    match hand_down(&group) {
        Ok(()) => Ok(group),
        Err(error) => {
            // An empty group in the wrong place would stay for good.
            fs::remove_dir(&group)?;
            Err(error)
        }
    }
}

fn create_dir(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// One line of `mountinfo`: `36 35 98:0 /root /point options - type source superoptions`.
fn parse_mount(line: &str) -> Option<Mount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, point) = (before.next()?, before.next()?);
    let mut after = after.split(' ');
    let version = match after.next()? {
        "cgroup" => 1,
        "cgroup2" => 2,
        _ => return None,
    };
    let options = after.nth(1)?;
    Some(Mount {
        root: root.to_owned(),
        point: PathBuf::from(point),
        version,
        controllers: options.split(',').map(str::to_owned).collect(),
    })
}

/// The groups of one instance: one directory per version 1 controller, or a single one.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Group {
    cpu: Option<PathBuf>,
    memory: Option<PathBuf>,
}

impl Group {
    /// Groups that someone else made.
    pub(crate) fn existing(memory: PathBuf) -> Self {
        Self { cpu: None, memory: Some(memory) }
    }

    /// Makes and limits the groups of an instance.
    pub(crate) fn create(parents: &Parents, name: &str, limits: Limits) -> io::Result<Self> {
        let group = Self {
            cpu: parents.cpu.as_ref().map(|parent| parent.join(name)),
            memory: parents.memory.as_ref().map(|parent| parent.join(name)),
        };
        for directory in group.directories() {
            create_dir(directory)?;
        }
        group.limit(limits)?;
        Ok(group)
    }

    fn limit(&self, limits: Limits) -> io::Result<()> {
        if let Some(cpu) = &self.cpu {
            limit_cpu(cpu, limits.cpu_quota_us)?;
        }
        if let Some(memory) = &self.memory {
            limit_memory(memory, limits.memory_bytes())?;
        }
        Ok(())
    }

    /// Changes the limits of the processes that run in it.
    pub(crate) fn resize(&self, limits: Limits) -> Result<(), ResizeError> {
        self.check_in_use(limits)?;
        self.limit(limits).map_err(|error| ResizeError::Refused(error.to_string()))
    }

    /// Refuses a limit below what the processes hold. Version 1 would refuse it as well, but version 2
    /// would kill them.
    pub(crate) fn check_in_use(&self, limits: Limits) -> Result<(), ResizeError> {
        let used_bytes = self.held_bytes().unwrap_or(0);
        match used_bytes > limits.memory_bytes() {
            true => Err(ResizeError::InUse { used_bytes, memory_mb: limits.memory_mb }),
            false => Ok(()),
        }
    }

    /// Memory that cannot be taken from the processes: what they allocated, and files in memory.
    fn held_bytes(&self) -> Option<u64> {
        let stat = std::fs::read_to_string(self.memory.as_ref()?.join("memory.stat")).ok()?;
        // Version 1 counts with the groups below under names of its own; version 2 always does.
        let sum = |allocated, shared| Some(field(&stat, allocated)? + field(&stat, shared)?);
        sum("total_rss", "total_shmem").or_else(|| sum("anon", "shmem"))
    }

    /// Lets the peak begin anew with what is in use now; false where the kernel cannot do that for
    /// everyone who reads it (version 2).
    pub(crate) fn reset_peak(&self) -> bool {
        let peak =
            self.memory.as_ref().map(|directory| directory.join("memory.max_usage_in_bytes"));
        peak.is_some_and(|peak| peak.exists() && fs::write(peak, "0").is_ok())
    }

    /// Every directory once.
    fn directories(&self) -> impl Iterator<Item = &PathBuf> {
        self.cpu
            .iter()
            .chain(self.memory.iter().filter(|memory| self.cpu.as_ref() != Some(*memory)))
    }

    /// Files that a process joins by writing its id to them.
    pub(crate) fn process_files(&self) -> Vec<PathBuf> {
        self.directories().map(|directory| directory.join("cgroup.procs")).collect()
    }

    /// Peak and kills so far.
    pub(crate) fn memory(&self) -> MemoryUse {
        let Some(directory) = &self.memory else {
            return MemoryUse::default();
        };
        // Absent files are normal: each exists in one version only, `memory.peak` since Linux 5.19.
        let read = |name: &str| std::fs::read_to_string(directory.join(name)).ok();
        let peak = read("memory.peak").or_else(|| read("memory.max_usage_in_bytes"));
        let used = read("memory.current").or_else(|| read("memory.usage_in_bytes"));
        let kills = read("memory.events").or_else(|| read("memory.oom_control"));
        let number = |text: String| text.trim().parse().ok();
        MemoryUse {
            peak_bytes: peak.and_then(number),
            used_bytes: used.and_then(number),
            oom_kills: kills.and_then(|text| field(&text, "oom_kill")).unwrap_or(0),
        }
    }

    /// Whether the memory group is there.
    pub(crate) fn readable(&self) -> bool {
        self.memory.as_ref().is_some_and(|directory| directory.is_dir())
    }

    /// Kills every process in the groups and removes them.
    pub(crate) async fn remove(&self) {
        for directory in self.directories() {
            kill_and_remove(directory).await;
        }
    }
}

/// The number behind a key in a file of `key value` lines.
fn field(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(' ')?;
        if name == key { value.trim().parse().ok() } else { None }
    })
}

fn limit_cpu(directory: &Path, quota_us: u64) -> io::Result<()> {
    let unified = directory.join("cpu.max");
    if unified.exists() {
        return fs::write(unified, format!("{quota_us} {CPU_PERIOD_US}"));
    }
    fs::write(directory.join("cpu.cfs_period_us"), CPU_PERIOD_US.to_string())?;
    fs::write(directory.join("cpu.cfs_quota_us"), quota_us.to_string())
}

/// Limits memory, and swap so that it adds nothing to it.
fn limit_memory(directory: &Path, bytes: u64) -> io::Result<()> {
    let unified = directory.join("memory.max");
    if unified.exists() {
        fs::write(unified, bytes.to_string())?;
        return write_if_there(&directory.join("memory.swap.max"), "0");
    }
    let limit = directory.join("memory.limit_in_bytes");
    let with_swap = directory.join("memory.memsw.limit_in_bytes");
    let present = std::fs::read_to_string(&limit).ok();
    let present: Option<u64> = present.and_then(|text| text.trim().parse().ok());
    write_if_there(&directory.join("memory.swappiness"), "0")?;
    // The limit with swap must not be below the one without at any moment.
    if present.is_some_and(|present| present < bytes) {
        write_if_there(&with_swap, &bytes.to_string())?;
        return fs::write(limit, bytes.to_string());
    }
    fs::write(limit, bytes.to_string())?;
    write_if_there(&with_swap, &bytes.to_string())
}

/// Kernels without swap accounting lack the file.
fn write_if_there(path: &Path, text: &str) -> io::Result<()> {
    if path.exists() { fs::write(path, text) } else { Ok(()) }
}

/// Kills every process below `directory` and removes it with everything in it.
pub(crate) async fn kill_and_remove(directory: &Path) {
    for _ in 0..KILL_ROUNDS {
        let groups = tree(directory);
        if groups.is_empty() {
            return;
        }
        for group in &groups {
            kill_all(group);
        }
        // Innermost first; a group whose last process is not yet gone stays for the next round.
        let gone = groups.iter().rev().all(|group| fs::remove_dir(group).is_ok());
        if gone {
            return;
        }
        tokio::time::sleep(KILL_PAUSE).await;
    }
    tracing::warn!(group = %directory.display(), "a control group could not be emptied");
}

/// A group and the groups below it, outermost first.
fn tree(directory: &Path) -> Vec<PathBuf> {
    let mut groups: Vec<PathBuf> =
        directory.is_dir().then(|| directory.to_owned()).into_iter().collect();
    let mut next = 0;
    while let Some(group) = groups.get(next) {
        let entries = std::fs::read_dir(group).into_iter().flatten().flatten();
        let below = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
        groups.extend(below.collect::<Vec<_>>());
        next += 1;
    }
    groups
}

fn kill_all(group: &Path) {
    let kill = group.join("cgroup.kill");
    if kill.exists() && fs::write(kill, "1").is_ok() {
        return;
    }
    let processes = std::fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for process in processes.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
        // A process that is gone meanwhile is what was wanted.
        if let Err(error) = kill_process(process, Signal::KILL) {
            tracing::debug!(%error, "a process was gone before it was killed");
        }
    }
}

/// Where Docker puts the memory group of a container, for both of its cgroup drivers.
pub(crate) fn of_container(layout: &Layout, id: &str) -> Option<Group> {
    let mounts = layout.mounts();
    let first = mounts.iter().find(|m| m.version == 1 && m.controllers.contains("memory"));
    let mount = first.or_else(|| mounts.iter().find(|mount| mount.version == 2))?;
    [format!("docker/{id}"), format!("system.slice/docker-{id}.scope")]
        .into_iter()
        .map(|below| Group::existing(mount.point.join(below)))
        .find(Group::readable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree_of(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn layout(root: &Path, mounts: &[(&str, &str, &str)], own: &str) -> Layout {
        let line = |(point, kind, options): &(&str, &str, &str)| {
            let point = root.join(point);
            format!("30 25 0:26 / {} rw - {kind} cgroup rw,{options}\n", point.display())
        };
        Layout { mounts: mounts.iter().map(line).collect(), own: own.to_owned() }
    }

    fn limits(cpu_quota_us: u64, memory_mb: u32) -> Limits {
        Limits { cpu_quota_us, memory_mb }
    }

    #[test]
    fn limits_of_both_versions_can_be_changed() {
        let (version_1, version_2) = (
            [
                ("cpu.cfs_period_us", "100000"),
                ("cpu.cfs_quota_us", "100000"),
                ("memory.limit_in_bytes", "268435456"),
                ("memory.memsw.limit_in_bytes", "268435456"),
            ],
            [
                ("cpu.max", "100000 100000"),
                ("memory.max", "268435456"),
                ("memory.swap.max", "0"),
                ("memory.peak", "1"),
            ],
        );
        for (files, cpu, quota, memory) in [
            (version_1, "cpu.cfs_quota_us", "50000", "memory.memsw.limit_in_bytes"),
            (version_2, "cpu.max", "50000 100000", "memory.max"),
        ] {
            let root = tree_of(&files);
            let directory = Some(root.path().to_owned());
            let group = Group { cpu: directory.clone(), memory: directory };
            let read = |name: &str| fs::read_to_string(root.path().join(name)).unwrap();
            for (memory_mb, bytes) in [(512, "536870912"), (128, "134217728")] {
                group.resize(limits(50_000, memory_mb)).unwrap();
                assert_eq!((read(cpu).as_str(), read(memory).as_str()), (quota, bytes));
            }
            assert!(!group.reset_peak(), "there is none that could be reset");
            let peak = root.path().join("memory.max_usage_in_bytes");
            fs::write(&peak, "9").unwrap();
            assert!(group.reset_peak());
            assert_eq!(fs::read_to_string(peak).unwrap(), "0");
        }
    }

    #[test]
    fn memory_that_is_held_is_not_taken_away() {
        let mb = |count: u64| (count << 20).to_string();
        let names = [("anon", "shmem"), ("total_rss", "total_shmem")];
        for (allocated, shared) in names {
            // What a version 1 group holds itself is the same here, and does not count twice.
            let stat = format!("{allocated} {}\nrss 9\n{shared} {}\nfile 99\n", mb(100), mb(50));
            let root = tree_of(&[("memory.stat", &stat), ("memory.limit_in_bytes", "0")]);
            let group = Group::existing(root.path().to_owned());
            let error = group.resize(limits(100_000, 149)).unwrap_err();
            assert_eq!(error.to_string(), "it uses 150 MB, more than 149 MB");
            let limit = root.path().join("memory.limit_in_bytes");
            assert_eq!(fs::read_to_string(&limit).unwrap(), "0");
            group.resize(limits(100_000, 150)).unwrap();
            assert_eq!(fs::read_to_string(&limit).unwrap(), mb(150));
        }
    }

    #[test]
    fn version_1_has_a_directory_per_controller() {
        let root = tree_of(&[("cpu/tasks", ""), ("memory/user/tasks", "")]);
        let layout = layout(
            root.path(),
            &[("cpu", "cgroup", "cpu,cpuacct"), ("memory", "cgroup", "memory")],
            "5:memory:/user\n4:cpu,cpuacct:/\n0::/\n",
        );
        let parents = layout.make_parents("fuseline-1");
        assert_eq!(parents.notices, Vec::<String>::new());
        assert_eq!(parents.cpu, Some(root.path().join("cpu/fuseline-1")));
        assert_eq!(parents.memory, Some(root.path().join("memory/user/fuseline-1")));

        let group = Group::create(&parents, "i", limits(25_000, 128)).unwrap();
        let read = |path: &str| fs::read_to_string(root.path().join(path)).unwrap();
        assert_eq!(read("cpu/fuseline-1/i/cpu.cfs_quota_us"), "25000");
        assert_eq!(read("cpu/fuseline-1/i/cpu.cfs_period_us"), "100000");
        assert_eq!(read("memory/user/fuseline-1/i/memory.limit_in_bytes"), "134217728");
        assert_eq!(group.process_files().len(), 2);
    }

    #[test]
    fn version_2_hands_controllers_down_from_a_group_without_processes() {
        let root = tree_of(&[
            ("cgroup.subtree_control", "cpu memory"),
            ("user/cgroup.subtree_control", "io"),
            // The kernel would make this file.
            ("user/fuseline-1/cgroup.subtree_control", ""),
        ]);
        // A directory in the place of the file refuses to be written, as a group with processes does.
        fs::create_dir_all(root.path().join("user/shell/cgroup.subtree_control")).unwrap();
        let layout = layout(root.path(), &[("", "cgroup2", "nsdelegate")], "0::/user/shell\n");
        let parents = layout.make_parents("fuseline-1");
        assert_eq!(parents.notices, Vec::<String>::new());
        assert_eq!(parents.cpu, Some(root.path().join("user/fuseline-1")));
        assert_eq!(parents.memory, parents.cpu);
        for group in ["user", "user/fuseline-1"] {
            let control = root.path().join(group).join("cgroup.subtree_control");
            assert_eq!(fs::read_to_string(control).unwrap(), "+cpu +memory", "{group}");
        }

        // The kernel would make these files.
        let instance = root.path().join("user/fuseline-1/i");
        fs::create_dir(&instance).unwrap();
        fs::write(instance.join("cpu.max"), "max 100000").unwrap();
        fs::write(instance.join("memory.max"), "max").unwrap();
        fs::write(instance.join("memory.swap.max"), "max").unwrap();
        let group = Group::create(&parents, "i", limits(150_000, 256)).unwrap();
        let read = |name: &str| fs::read_to_string(instance.join(name)).unwrap();
        assert_eq!(read("cpu.max"), "150000 100000");
        assert_eq!(read("memory.max"), "268435456");
        assert_eq!(read("memory.swap.max"), "0");
        assert_eq!(group.process_files(), [instance.join("cgroup.procs")]);
    }

    #[test]
    fn what_cannot_be_enforced_is_said() {
        let nothing = Layout { mounts: String::new(), own: String::new() };
        assert_eq!(
            nothing.make_parents("x").notices,
            [
                "vCPU limits are not enforced: the cpu controller cannot be used, no cgroup hierarchy with it is mounted",
                "memory limits are not enforced: the memory controller cannot be used, no cgroup hierarchy with it is mounted",
            ]
        );
        let root = tree_of(&[("cpu/tasks", "")]);
        let gone = layout(
            root.path(),
            &[("cpu", "cgroup", "cpu"), ("gone", "cgroup", "memory")],
            "5:memory:/\n4:cpu:/\n",
        );
        let parents = gone.make_parents("fuseline-1");
        assert!(parents.cpu.is_some() && parents.memory.is_none());
        assert_eq!(parents.notices.len(), 1);
        assert!(parents.notices[0].starts_with("memory limits are not enforced: "));
        assert!(parents.notices[0].contains("gone"), "{}", parents.notices[0]);
    }

    #[test]
    fn peaks_and_kills_are_read_in_both_versions() {
        for (files, expect) in [
            (
                vec![
                    ("memory.max_usage_in_bytes", "7340032\n"),
                    ("memory.usage_in_bytes", "4096\n"),
                    ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
                ],
                MemoryUse { peak_bytes: Some(7_340_032), used_bytes: Some(4_096), oom_kills: 2 },
            ),
            (
                vec![
                    ("memory.peak", "1048576\n"),
                    (
                        "memory.events",
                        "low 0\nhigh 0\nmax 9\noom 3\noom_kill 1\noom_group_kill 0\n",
                    ),
                ],
                MemoryUse { peak_bytes: Some(1_048_576), used_bytes: None, oom_kills: 1 },
            ),
            (
                vec![("memory.current", "5\n")],
                MemoryUse { peak_bytes: None, used_bytes: Some(5), oom_kills: 0 },
            ),
        ] {
            let root = tree_of(&files);
            assert_eq!(Group::existing(root.path().to_owned()).memory(), expect);
        }
    }

    #[test]
    fn containers_are_found_under_both_drivers() {
        for below in ["docker/abc", "system.slice/docker-abc.scope"] {
            let root = tree_of(&[(&format!("{below}/memory.peak"), "4096")]);
            let layout = layout(root.path(), &[("", "cgroup2", "x")], "0::/\n");
            let group = of_container(&layout, "abc").unwrap();
            assert_eq!(group.memory().peak_bytes, Some(4_096));
            assert_eq!(of_container(&layout, "other"), None);
        }
    }
}
