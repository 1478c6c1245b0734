//! Every check in tables, and what holds for all of them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Two equal tasks that pass every check.
fn facts() -> TaskFacts {
    TaskFacts {
        runtime: "provided.al2023".to_owned(),
        timeout_ms: 30_000,
        role: None,
        environment_bytes: 100,
        package_bytes: Some(1 << 20),
        max_payload_mb: BTreeMap::new(),
        configuration: Configuration::default(),
    }
}

/// A gate that knows `a`, `b` and `c`, the first two after a change.
fn gate(change: impl FnOnce(&mut TaskFacts, &mut TaskFacts)) -> Gate {
    let (mut a, mut b) = (facts(), facts());
    change(&mut a, &mut b);
    let tasks = [("a", a), ("b", b), ("c", facts())];
    let tasks = tasks.into_iter().map(|(name, facts)| (TaskName::from(name), facts)).collect();
    Gate { tasks, ..Gate::default() }
}

fn judge(gate: &Gate) -> Vec<Verdict> {
    gate.judge(&"a".into(), &["b".into()])
}

/// What is said against fusing `b` into `a` after a change: that one check, with this effect and
/// text, or nothing if `expected` is `None`.
fn check(
    change: impl FnOnce(&mut TaskFacts, &mut TaskFacts),
    expected: Option<(Check, Effect, &str)>,
) {
    let verdicts = judge(&gate(change));
    assert_eq!(verdicts.len(), Check::ALL.len(), "one verdict per check");
    let said: Vec<_> = verdicts.iter().filter(|one| one.effect > Effect::None).collect();
    let Some((check, effect, text)) = expected else {
        return assert!(said.is_empty(), "{said:#?}");
    };
    let [said] = said[..] else { panic!("not only {check:?}: {said:#?}") };
    assert_eq!((said.check, said.effect), (check, effect), "{}", said.text);
    assert_eq!(said.level, effect.level());
    assert!(said.text.contains(text), "{}", said.text);
    let rule = RULES.iter().find(|rule| (rule.check, rule.effect) == (check, effect));
    assert!(rule.is_some(), "docs/SAFETY.md does not know that {check:?} does this");
    assert_eq!(said.allow_with.is_some(), effect >= Effect::KeptOut, "{said:?}");
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn equal_tasks_pass() {
    check(|_, _| (), None);
    assert!(Gate::default().judge(&"a".into(), &["b".into()]).is_empty(), "nothing is known");
}

#[test]
fn what_needs_an_image_is_not_tried_where_there_are_none() {
    let mut gate = gate(|one, _| one.runtime = "nodejs20.x".into());
    gate.tasks[1].runtime = "python3.12".into();
    let effect = |gate: &Gate| {
        let verdicts = gate.judge(&"a".into(), &["b".into()]);
        verdicts.into_iter().find(|it| it.check == Check::PackageForm).unwrap().effect
    };
    assert_eq!(effect(&gate), Effect::Shown);
    gate.no_images = true;
    assert_eq!(effect(&gate), Effect::NeverTried);
    gate.tasks[1].runtime = "nodejs20.x".into();
    assert_eq!(effect(&gate), Effect::None);
}

#[test]
fn runtimes() {
    let set = |a: &'static str, b: &'static str| {
        move |one: &mut TaskFacts, other: &mut TaskFacts| {
            (one.runtime, other.runtime) = (a.to_owned(), b.to_owned());
        }
    };
    check(set("python3.12", "python3.12"), None);
    check(set("python3.12", "provided.al2023"), None);
    let image = "`a` and `b` run on nodejs20.x and python3.12: on AWS they need a container image";
    let several = Some((Check::PackageForm, Effect::Shown, image));
    check(set("python3.12", "nodejs20.x"), several);
    check(set("nodejs20.x", "python3.12"), several);
    let provided = Some((Check::PackageForm, Effect::Shown, "the function has only that of `a`"));
    check(set("provided.al2", "provided.al2023"), provided);
    for runtime in ["java21", "dotnet8", "ruby3.3", "go1.x"] {
        let text = format!("`b` runs on {runtime}, which the supervisor is not known to start");
        check(
            set("provided.al2023", runtime),
            Some((Check::RuntimeStart, Effect::NeverTried, text.as_str())),
        );
    }
}

#[test]
fn architectures() {
    let text = "`a` is built for x86_64 and `b` for arm64: give both the same `architecture`";
    check(
        |_, b| b.configuration.architecture = Architecture::Arm64,
        Some((Check::Architecture, Effect::NeverTried, text)),
    );
}

#[test]
fn networks() {
    let vpc = |subnets: &[&str], groups: &[&str]| Vpc {
        subnet_ids: strings(subnets),
        security_group_ids: strings(groups),
    };
    let differ = |text| Some((Check::Vpc, Effect::NeverTried, text));
    check(
        |a, b| {
            a.configuration.vpc = vpc(&["s1", "s2"], &["g"]);
            b.configuration.vpc = vpc(&["s2", "s1"], &["g"]);
        },
        None,
    );
    check(
        |_, b| b.configuration.vpc = vpc(&["s1", "s2"], &["g"]),
        differ("`a` is in no VPC and `b` is in s1 and s2 with g"),
    );
    check(
        |a, b| {
            a.configuration.vpc = vpc(&["s1"], &["g"]);
            b.configuration.vpc = vpc(&["s1"], &["h"]);
        },
        differ("`a` is in s1 with g and `b` is in s1 with h"),
    );
}

#[test]
fn file_systems() {
    let mount = |arn: &str, path: &str| FileSystem {
        arn: arn.to_owned(),
        local_mount_path: path.to_owned(),
    };
    check(
        |a, b| {
            a.configuration.file_systems = vec![mount("x", "/mnt/x")];
            b.configuration.file_systems = vec![mount("x", "/mnt/x")];
        },
        None,
    );
    check(
        |_, b| b.configuration.file_systems = vec![mount("x", "/mnt/x")],
        Some((Check::FileSystems, Effect::NeverTried, "`b` would not find x at /mnt/x")),
    );
    check(
        |a, _| a.configuration.file_systems = vec![mount("x", "/mnt/x")],
        Some((Check::FileSystems, Effect::KeptOut, "`b` would see x at /mnt/x, which only `a`")),
    );
    check(
        |a, b| {
            a.configuration.file_systems = vec![mount("x", "/mnt/x")];
            b.configuration.file_systems = vec![mount("y", "/mnt/x")];
        },
        Some((Check::FileSystems, Effect::NeverTried, "`b` would not find y at /mnt/x")),
    );
}

#[test]
fn layers() {
    let set = |a: &[&str], b: &[&str]| {
        let (a, b) = (strings(a), strings(b));
        move |one: &mut TaskFacts, other: &mut TaskFacts| {
            (one.configuration.layers, other.configuration.layers) = (a, b);
        }
    };
    let missing = |text| Some((Check::Layers, Effect::NeverTried, text));
    check(set(&["l:1", "m:1"], &["l:1", "m:1"]), None);
    check(set(&["l:1", "m:1"], &["m:1"]), None);
    check(
        set(&[], &["l:1"]),
        missing("`b` needs the layer l:1 in its order, and the function of `a` has none"),
    );
    check(
        set(&["l:1"], &["l:2"]),
        missing("needs the layer l:2 in its order, and the function of `a` has l:1"),
    );
    check(set(&["l:1", "m:1"], &["m:1", "l:1"]), missing("needs the layer l:1 in its order"));
    let five = ["1", "2", "3", "4", "5"];
    check(set(&five, &[]), None);
    let python = |layers: &[&str]| {
        let layers = strings(layers);
        move |a: &mut TaskFacts, _: &mut TaskFacts| {
            a.runtime = "python3.12".to_owned();
            a.configuration.layers = layers;
        }
    };
    check(python(&five), missing("needs 6 layers with the supervisor's"));
    check(python(&five[1..]), None);
    let verdicts = judge(&gate(|a, b| {
        (a.runtime, b.runtime) = ("python3.12".to_owned(), "nodejs20.x".to_owned());
        a.configuration.layers = strings(&["l:1"]);
    }));
    let layers = verdicts.iter().find(|one| one.check == Check::Layers).unwrap();
    assert_eq!(layers.effect, Effect::NeverTried);
    assert!(layers.text.contains("a container image, which takes no layers"), "{}", layers.text);
}

#[test]
fn room_in_tmp() {
    let set = |a: u32, b: u32| {
        move |one: &mut TaskFacts, other: &mut TaskFacts| {
            one.configuration.ephemeral_storage_mb = a;
            other.configuration.ephemeral_storage_mb = b;
        }
    };
    let text = "the /tmp of the function of `a` has 512 MB, and now `b` 2048 MB alone: set \
                `ephemeralStorage: 2560` on `a`";
    check(set(512, 2_048), Some((Check::EphemeralStorage, Effect::KeptOut, text)));
    check(set(2_560, 2_048), None);
    check(set(1_024, 512), None);
}

#[test]
fn limits_and_callers_of_its_own() {
    check(|a, _| a.configuration.reserved_concurrency = Some(5), None);
    check(
        |_, b| b.configuration.reserved_concurrency = Some(5),
        Some((Check::ReservedConcurrency, Effect::KeptOut, "`b` runs at most 5 times at once")),
    );
    check(|a, _| a.configuration.triggers = strings(&["SQS orders"]), None);
    check(
        |_, b| b.configuration.triggers = strings(&["SQS orders", "admins"]),
        Some((
            Check::OwnTriggers,
            Effect::Shown,
            "of its own for SQS orders, admins, and its logs",
        )),
    );
}

#[test]
fn sizes() {
    check(|a, _| a.max_payload_mb = [("b".into(), 6)].into(), None);
    check(|a, _| a.max_payload_mb = [("c".into(), 7)].into(), None);
    check(
        |a, _| a.max_payload_mb = [("b".into(), 7)].into(),
        Some((Check::PayloadSize, Effect::NeverTried, "`a` and `b` pass up to 7 MB")),
    );
    check(|_, b| b.environment_bytes = 9_000, None);
    check(|a, _| a.environment_bytes = 4_092, None);
    check(
        |a, _| a.environment_bytes = 4_093,
        Some((Check::EnvironmentSize, Effect::NeverTried, "takes 4097 bytes")),
    );
    check(|a, _| a.package_bytes = Some(249 << 20), None);
    check(
        |a, _| a.package_bytes = Some((249 << 20) + 1),
        Some((
            Check::PackageSize,
            Effect::NeverTried,
            "`a` and `b` are 251 MB unpacked with the supervisor, and Lambda takes 250 MB",
        )),
    );
    check(|_, b| b.package_bytes = None, None);
    let mut with_supervisor = gate(|a, _| a.package_bytes = Some(249 << 20));
    with_supervisor.supervisor_bytes = 1;
    let verdicts = judge(&with_supervisor);
    assert!(verdicts.iter().any(|one| one.effect == Effect::NeverTried), "the supervisor counts");
    let image = judge(&gate(|a, b| {
        (a.runtime, b.runtime) = ("python3.12".to_owned(), "nodejs20.x".to_owned());
        a.package_bytes = Some(5 << 30);
    }));
    assert!(image.iter().all(|one| one.effect < Effect::KeptOut), "an image holds 10 GB");
}

#[test]
fn timeouts() {
    check(|a, _| a.timeout_ms = 60_000, None);
    check(
        |_, b| b.timeout_ms = 60_000,
        Some((
            Check::TimeoutPath,
            Effect::KeptOut,
            "`b` may run 60 s, but in the function of `a` it ends with the 30 s of that one: set `timeout: 60s` on `a`",
        )),
    );
}

#[test]
fn roles() {
    let policy = |action: &str, resource: &str| {
        let statement = Statement {
            effect: PolicyEffect::Allow,
            actions: strings(&[action]),
            resources: strings(&[resource]),
            condition: None,
        };
        Some(Policy { statements: vec![statement] })
    };
    let roles = |a: &mut TaskFacts, b: &mut TaskFacts| {
        (a.role, b.role) = (Some("ra".to_owned()), Some("rb".to_owned()));
    };
    let kept_out = |text| Some((Check::Role, Effect::KeptOut, text));
    check(|a, b| (a.role, b.role) = (Some("r".to_owned()), Some("r".to_owned())), None);
    check(
        roles,
        kept_out(
            "`b` would run with the role ra instead of the role rb, and what they allow is not known",
        ),
    );
    check(
        |_, b| b.role = Some("rb".to_owned()),
        kept_out("with the role of `a` instead of the role rb"),
    );
    check(
        |a, b| {
            roles(a, b);
            a.configuration.policy = policy("dynamodb:*", "t");
        },
        kept_out("not known"),
    );
    check(
        |a, b| {
            a.configuration.policy = policy("dynamodb:*", "t");
            b.configuration.policy = policy("dynamodb:GetItem", "t");
        },
        kept_out("`b` would gain dynamodb:* on t"),
    );
    check(
        |a, b| {
            roles(a, b);
            a.configuration.policy = policy("dynamodb:*", "t");
            b.configuration.policy = policy("dynamodb:*", "t");
        },
        Some((Check::Role, Effect::Shown, "which allows the same")),
    );
    check(
        |a, b| {
            roles(a, b);
            a.configuration.policy = policy("dynamodb:GetItem", "t");
            b.configuration.policy = policy("dynamodb:*", "t");
        },
        Some((
            Check::Role,
            Effect::NeverTried,
            "`b` would lose dynamodb:* on t: give them to the role ra",
        )),
    );
}

#[test]
fn tasks_kept_apart_are_never_allowed_together() {
    let mut gate = gate(|_, _| ());
    gate.apart = vec![["a".into(), "c".into()].into()];
    assert!(judge(&gate).iter().all(|one| one.effect == Effect::None));
    gate.allow = vec![permission(&["a", "b", "c"], Check::Apart, Some("why"), Force::Everything)];
    let verdicts = gate.judge(&"a".into(), &["b".into(), "c".into()]);
    assert_eq!(verdicts[0].effect, Effect::NeverTried);
    assert_eq!(verdicts[0].text, "`constraints.apart` keeps `a` and `c` apart");
    assert_eq!(verdicts[0].allow_with, None);
}

fn permission(fuse: &[&str], check: Check, reason: Option<&str>, force: Force) -> Permission {
    let fuse = fuse.iter().map(|task| TaskName::from(*task)).collect();
    Permission { fuse, check, reason: reason.map(str::to_owned), force }
}

#[test]
fn a_permission_lifts_its_check_for_its_tasks() {
    let check = |allow: Permission, group: [&str; 2], expected: Effect| {
        let mut gate = gate(|_, b| b.configuration.reserved_concurrency = Some(5));
        gate.allow = vec![allow];
        let verdicts = gate.judge(&"a".into(), &group.map(TaskName::from));
        let verdict = verdicts.iter().find(|v| v.check == Check::ReservedConcurrency).unwrap();
        assert_eq!(verdict.effect, expected, "{}", verdict.text);
    };
    let limit = Check::ReservedConcurrency;
    let warnings = Force::Warnings;
    check(permission(&["a", "b"], limit, None, warnings), ["b", "b"], Effect::None);
    check(permission(&["a", "b"], limit, None, warnings), ["b", "c"], Effect::None);
    check(permission(&["a", "b", "c"], limit, None, warnings), ["b", "b"], Effect::None);
    check(permission(&["b", "c"], limit, None, warnings), ["b", "c"], Effect::None);
    check(permission(&["b", "c"], limit, None, warnings), ["b", "b"], Effect::KeptOut);
    check(permission(&["a", "c"], limit, None, warnings), ["b", "c"], Effect::KeptOut);
    check(permission(&["a", "b"], Check::Role, None, warnings), ["b", "b"], Effect::KeptOut);
}

#[test]
fn what_may_be_written_to_allow_it_does_allow_it() {
    let kept_out = judge(&gate(|_, b| b.configuration.reserved_concurrency = Some(5)));
    let line = kept_out.iter().find_map(|verdict| verdict.allow_with.as_deref());
    assert_eq!(line, Some("{ fuse: [a, b], check: reserved-concurrency, reason: \"…\" }"));
    let forbidden = judge(&gate(|_, b| b.configuration.architecture = Architecture::Arm64));
    let line = forbidden.iter().find_map(|verdict| verdict.allow_with.as_deref());
    assert_eq!(line, Some("{ fuse: [a, b], check: architecture, reason: \"…\", force: true }"));
}

/// Facts that differ in whatever the checks look at.
fn any_facts() -> impl Strategy<Value = TaskFacts> {
    let pick = |texts: &'static [&'static str]| prop::sample::select(texts);
    let words = || prop::collection::vec(prop::sample::select(&["x:1", "x:2", "y:1"][..]), 0..=2);
    let runtime = pick(&["provided.al2023", "provided.al2", "python3.12", "nodejs20.x", "java21"]);
    let numbers = (1_u64..=3, 0_u64..6_000, prop::option::of(0_u64..300 << 20), 512_u32..2_000);
    let others = (words(), words(), words(), prop::option::of(0_u32..3), any::<bool>());
    (runtime, prop::option::of(pick(&["r", "s"])), numbers, others).prop_map(
        |(runtime, role, (timeout, environment, package, storage), others)| {
            let (subnets, layers, triggers, reserved_concurrency, arm) = others;
            TaskFacts {
                runtime: runtime.to_owned(),
                timeout_ms: timeout * 10_000,
                role: role.map(str::to_owned),
                environment_bytes: environment,
                package_bytes: package,
                max_payload_mb: BTreeMap::new(),
                configuration: Configuration {
                    architecture: if arm { Architecture::Arm64 } else { Architecture::X86_64 },
                    vpc: Vpc { subnet_ids: strings(&subnets), ..Vpc::default() },
                    layers: strings(&layers),
                    triggers: strings(&triggers),
                    ephemeral_storage_mb: storage,
                    reserved_concurrency,
                    ..Configuration::default()
                },
            }
        },
    )
}

fn any_permission() -> impl Strategy<Value = Permission> {
    let tasks = prop::sample::subsequence(vec!["t0", "t1", "t2", "t3"], 2..=4);
    let reason = prop::option::of(Just("because"));
    (tasks, prop::sample::select(&Check::ALL[..]), reason, any::<bool>()).prop_map(
        |(tasks, check, reason, force)| {
            let force = if force { Force::Everything } else { Force::Warnings };
            permission(&tasks, check, reason, force)
        },
    )
}

fn any_gate() -> impl Strategy<Value = Gate> {
    let facts = prop::collection::vec(any_facts(), 4);
    (facts, prop::collection::vec(any_permission(), 0..12)).prop_map(|(facts, allow)| {
        let name = |(at, facts)| (TaskName(format!("t{at}")), facts);
        Gate { tasks: facts.into_iter().enumerate().map(name).collect(), allow, ..Gate::default() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_forbids_is_lifted_by_force_and_a_reason_only(gate in any_gate()) {
        let inlined = ["t1", "t2", "t3"].map(TaskName::from);
        let strict = Gate { allow: Vec::new(), ..gate.clone() };
        let before = strict.judge(&"t0".into(), &inlined);
        for (before, after) in before.iter().zip(gate.judge(&"t0".into(), &inlined)) {
            prop_assert_eq!(before.check, after.check);
            prop_assert!(after.effect <= before.effect);
            let lifted = before.effect == Effect::NeverTried && after.effect < before.effect;
            let enough = |one: &Permission| {
                one.check == before.check && one.force == Force::Everything && one.reason.is_some()
            };
            prop_assert!(!lifted || gate.allow.iter().any(enough), "{before:?} {after:?}");
            let rule = |rule: &Rule| (rule.check, rule.effect) == (before.check, before.effect);
            prop_assert!(before.effect == Effect::None || RULES.iter().any(rule), "{before:?}");
        }
    }

    #[test]
    fn verdicts_do_not_depend_on_order(
        gate in any_gate(),
        inlined in Just(["t1", "t2", "t3"].map(TaskName::from).to_vec()).prop_shuffle(),
    ) {
        let sorted = ["t1", "t2", "t3"].map(TaskName::from);
        prop_assert_eq!(gate.judge(&"t0".into(), &inlined), gate.judge(&"t0".into(), &sorted));
        let effects = |gate: &Gate| {
            let verdicts = gate.judge(&"t0".into(), &sorted);
            verdicts.iter().map(|verdict| verdict.effect).collect::<Vec<_>>()
        };
        let mut reversed = gate.clone();
        reversed.allow.reverse();
        prop_assert_eq!(effects(&gate), effects(&reversed));
    }
}

/// The table of docs/SAFETY.md.
fn table() -> String {
    let mut table =
        String::from("| code | level | when | what to do |\n| --- | --- | --- | --- |\n");
    for Rule { check, effect, when, what_to_do } in RULES {
        let level = match effect {
            Effect::None => "allow",
            Effect::Shown => "warn, shown",
            Effect::KeptOut => "warn, kept out",
            Effect::NeverTried => "forbid",
        };
        table.push_str(&format!("| `{}` | {level} | {when} | {what_to_do} |\n", check.code()));
    }
    table
}

#[test]
fn the_page_for_users_lists_these_rules() {
    let page = include_str!("../../../docs/SAFETY.md");
    assert!(page.contains(&table()), "the table in docs/SAFETY.md has to be:\n\n{}", table());
}
