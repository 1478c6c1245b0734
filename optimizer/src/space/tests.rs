//! Spaces against brute force, and against what platforms document.

use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

fn resources(milli_vcpu: u32, memory_mb: u32) -> Resources {
    Resources { vcpu: MilliVcpu(milli_vcpu), memory: MemoryMb(memory_mb) }
}

#[test]
fn lambda_gives_vcpu_by_memory() {
    let space = ResourceSpace::lambda();
    for (memory_mb, milli_vcpu) in
        [(128, 72), (512, 289), (1_024, 579), (1_769, 1_000), (10_240, 5_789)]
    {
        let given = space.resources_for_memory(MemoryMb(memory_mb));
        assert_eq!(given, resources(milli_vcpu, memory_mb));
        assert_eq!(space.check(given), Ok(()));
    }
}

#[test]
fn errors_name_the_range_and_what_was_given() {
    let check = |space: &str, given: Resources, message: &str| {
        let space = ResourceSpace::named(space).unwrap();
        assert_eq!(space.check(given).unwrap_err().to_string(), message);
    };
    check(
        "lambda",
        resources(58, 64),
        "lambda takes 128 MB to 10240 MB in steps of 1 MB, not 64 MB",
    );
    check(
        "lambda",
        resources(1_000, 512),
        "lambda gives 512 MB a share of 0.289 vCPU, not 1 vCPU; leave the vCPU out",
    );
    check(
        "decoupled",
        resources(1_000, 200),
        "decoupled takes 128 MB to 10240 MB in steps of 64 MB, not 200 MB",
    );
    check(
        "decoupled",
        resources(50, 512),
        "decoupled takes 0.1 vCPU to 10 vCPU in steps of 0.1 vCPU, not 0.05 vCPU",
    );
    check(
        "fargate",
        resources(250, 1_536),
        "fargate takes 512 MB to 122880 MB, here 1024 MB and then 2048 MB, not 1536 MB",
    );
    check("fargate", resources(250, 256), "fargate takes 512 MB to 122880 MB, not 256 MB");
    check(
        "cloud-run",
        resources(3_000, 4_096),
        "cloud-run takes 0.08 vCPU to 8 vCPU, here 2 vCPU and then 4 vCPU, not 3 vCPU",
    );
    check(
        "cloud-run",
        resources(500, 4_096),
        "cloud-run gives 4096 MB 1 vCPU to 8 vCPU, not 0.5 vCPU",
    );
}

#[test]
fn decoupled_takes_any_combination_on_its_grid() {
    let space = ResourceSpace::decoupled();
    assert_eq!(space.check(resources(10_000, 128)), Ok(()));
    assert_eq!(space.check(resources(100, 10_240)), Ok(()));
    for (memory_mb, milli_vcpu) in [(128, 100), (512, 500), (5_120, 5_000), (10_240, 10_000)] {
        let given = space.resources_for_memory(MemoryMb(memory_mb));
        assert_eq!(given, resources(milli_vcpu, memory_mb));
        assert_eq!(space.check(given), Ok(()), "{given}");
    }
}

#[test]
fn a_range_can_be_narrowed_but_not_widened() {
    let narrow = |smallest, largest, step_mb| {
        let (smallest, largest) = (MemoryMb(smallest), MemoryMb(largest));
        ResourceSpace::decoupled().with_memory_range(smallest, largest, step_mb)
    };
    let space = narrow(128, 1_024, 128).unwrap();
    assert!(space.check(space.resources_for_memory(MemoryMb(1_152))).is_err());
    assert!(space.check(space.resources_for_memory(MemoryMb(192))).is_err());
    assert_eq!(space.largest(), resources(10_000, 1_024));
    assert!(matches!(narrow(64, 1_024, 64), Err(SpaceError::Memory { .. })));
    for (smallest, largest, step_mb) in
        [(128, 1_024, 0), (128, 1_024, 100), (1_024, 128, 64), (128, 1_024, 256)]
    {
        let narrowed = narrow(smallest, largest, step_mb);
        assert!(matches!(narrowed, Err(SpaceError::Range { .. })), "{step_mb}");
    }
}

#[test]
fn narrowing_leaves_what_the_platform_takes() {
    let fargate = ResourceSpace::named("fargate").unwrap();
    let space = fargate.with_memory_range(MemoryMb(512), MemoryMb(4_096), 512).unwrap();
    assert_eq!(space.memory_sizes[..], [512, 1_024, 2_048, 3_072, 4_096]);
    assert_eq!(space.vcpu_sizes[..], [250, 500, 1_000, 2_000]);
    assert_eq!(space.memory_at_most(2_000), MemoryMb(1_024));
    assert_eq!(space.resources_from(MemoryMb(1_025)), Some(resources(1_000, 2_048)));
    assert_eq!(space.resources_from(MemoryMb(4_097)), None);
    assert_eq!(space.memory_at_least(1_025), MemoryMb(2_048));
    assert_eq!(
        (space.memory_at_most(1), space.memory_at_least(9_999)),
        (MemoryMb(512), MemoryMb(4_096))
    );
}

#[test]
fn a_space_reads_back_as_it_was_written() {
    for platform in platforms::built_in() {
        let space = platform.space.clone().unwrap();
        let narrowed = space.clone().with_memory_range(MemoryMb(2_048), MemoryMb(8_192), 2_048);
        for space in [space, narrowed.unwrap()] {
            let text = serde_json::to_string(&space).unwrap();
            assert_eq!(serde_json::from_str::<ResourceSpace>(&text).unwrap(), space);
        }
    }
}

#[test]
fn the_largest_is_the_top_of_every_platform() {
    for (name, milli_vcpu, memory_mb) in [
        ("lambda", 5_789, 10_240),
        ("lambda-managed-instances", 16_000, 32_768),
        ("cloud-run", 8_000, 32_768),
        ("function-compute", 16_000, 32_768),
        ("fargate", 16_000, 122_880),
        ("decoupled", 10_000, 10_240),
    ] {
        let space = ResourceSpace::named(name).unwrap();
        assert_eq!(space.largest(), resources(milli_vcpu, memory_mb), "{name}");
    }
}

#[test]
fn reducing_keeps_the_other_dimension_where_the_platform_lets_it() {
    let check = |name: &str, from, dimension, steps, expected: Option<(u32, u32)>| {
        let space = ResourceSpace::named(name).unwrap();
        let expected = expected.map(|(milli_vcpu, memory_mb)| resources(milli_vcpu, memory_mb));
        assert_eq!(space.reduce(from, dimension, steps), expected, "{name} {from}");
    };
    use Dimension::{Memory, Vcpu};
    check("decoupled", resources(1_000, 512), Vcpu, 3, Some((700, 512)));
    check("decoupled", resources(1_000, 512), Memory, 2, Some((1_000, 384)));
    check("decoupled", resources(300, 512), Vcpu, 3, None);
    // Less than 1 vCPU takes 1024 MB at most.
    check("cloud-run", resources(1_000, 512), Vcpu, 1, Some((999, 512)));
    check("cloud-run", resources(1_000, 4_096), Vcpu, 1, Some((999, 1_024)));
    check("cloud-run", resources(4_000, 2_048), Memory, 1, Some((2_000, 2_047)));
    check("cloud-run", resources(80, 512), Vcpu, 1, None);
    // 1 to 4 GB for every vCPU.
    check("function-compute", resources(1_000, 4_096), Vcpu, 1, Some((950, 3_840)));
    check("function-compute", resources(1_000, 1_024), Memory, 1, Some((900, 960)));
    check("fargate", resources(8_000, 61_440), Memory, 1, Some((8_000, 57_344)));
    check("fargate", resources(16_000, 32_768), Memory, 1, Some((8_000, 28_672)));
    check("fargate", resources(500, 4_096), Vcpu, 1, Some((250, 2_048)));
    check("fargate", resources(250, 512), Memory, 1, None);
    // From 2 GB for every vCPU to 4 GB, or fewer of both.
    check("lambda-managed-instances", resources(2_000, 4_096), Vcpu, 1, Some((1_000, 4_096)));
    check("lambda-managed-instances", resources(2_000, 4_096), Memory, 1, Some((1_000, 2_048)));
    check("lambda", resources(1_000, 1_769), Memory, 1_000, Some((435, 769)));
    check("lambda", resources(1_000, 1_769), Vcpu, 1, None);
    // What is not offered leads to what is.
    check("decoupled", resources(950, 500), Vcpu, 1, Some((900, 448)));
    check("decoupled", resources(950, 500), Memory, 0, Some((900, 448)));
}

/// Everything that a space offers, tried one by one.
fn all_cells(space: &ResourceSpace) -> Vec<Resources> {
    let memory = || space.memory_sizes.iter();
    let Offer::Cells(_) = &space.definition.offer else {
        return memory().map(|mb| space.resources_for_memory(MemoryMb(*mb))).collect();
    };
    let pairs = space.vcpu_sizes.iter().flat_map(|vcpu| memory().map(move |mb| (*vcpu, *mb)));
    let pairs = pairs.map(|(vcpu, mb)| resources(vcpu, mb));
    pairs.filter(|it| space.check(*it).is_ok()).collect()
}

fn of(dimension: Dimension, resources: Resources) -> u32 {
    match dimension {
        Dimension::Vcpu => resources.vcpu.0,
        Dimension::Memory => resources.memory.0,
    }
}

/// [`ResourceSpace::reduce`] by looking at everything there is.
fn reduce_by_force(
    cells: &[Resources],
    from: Resources,
    dimension: Dimension,
    steps: u32,
) -> Option<Resources> {
    let other = match dimension {
        Dimension::Vcpu => Dimension::Memory,
        Dimension::Memory => Dimension::Vcpu,
    };
    let smaller =
        union(cells.iter().map(|it| of(dimension, *it)).filter(|size| *size < of(dimension, from)));
    let limit = smaller[smaller.len().checked_sub(steps.max(1) as usize)?];
    let within =
        |it: &&Resources| of(dimension, **it) <= limit && of(other, **it) <= of(other, from);
    cells.iter().filter(within).copied().max_by_key(|it| (of(other, *it), of(dimension, *it)))
}

/// The built-in platforms where vCPU can be chosen, on coarse grids, with all their cells.
static COARSE: LazyLock<Vec<(ResourceSpace, Vec<Resources>)>> = LazyLock::new(|| {
    let ranges = [
        ("cloud-run", 128, 32_768, 320),
        ("function-compute", 128, 32_768, 320),
        ("fargate", 512, 122_880, 512),
        ("lambda-managed-instances", 2_048, 32_768, 2_048),
        ("decoupled", 128, 10_240, 64),
    ];
    let coarse = ranges.map(|(name, smallest, largest, step_mb)| {
        let space = ResourceSpace::named(name).unwrap();
        let (smallest, largest) = (MemoryMb(smallest), MemoryMb(largest));
        let space = space.with_memory_range(smallest, largest, step_mb).unwrap();
        let cells = all_cells(&space);
        (space, cells)
    });
    coarse.into()
});

/// Small spaces of any shape.
fn any_space() -> impl Strategy<Value = ResourceSpace> {
    let sizes = |step: u32| {
        (1u32..6, 0u32..8, 1u32..4).prop_map(move |(from, count, by)| {
            let (smallest, step) = (from * step, by * step);
            Sizes::new(smallest, smallest + count * step, step).unwrap()
        })
    };
    let ratio = prop::option::of(
        (1u32..5, 0u32..5).prop_map(|(least, more)| (least * 512, (least + more) * 512)),
    );
    let cells = (sizes(250), sizes(256), ratio)
        .prop_map(|(vcpu, memory, memory_per_vcpu)| Cells { vcpu, memory, memory_per_vcpu })
        .prop_filter("has a cell", |cells| cells.vcpu_sizes().next().is_some());
    prop::collection::vec(cells, 1..5).prop_map(|cells| {
        let offer = Offer::Cells(cells);
        let text = String::new;
        let memory_per_vcpu = MemoryMb(1_024);
        Definition { name: text(), source: text(), date: text(), memory_per_vcpu, offer }.into()
    })
}

fn any_dimension() -> impl Strategy<Value = Dimension> {
    prop_oneof![Just(Dimension::Vcpu), Just(Dimension::Memory)]
}

/// Compares with brute force, and checks what is promised of the answer.
fn check_reduce(
    space: &ResourceSpace,
    cells: &[Resources],
    from: Resources,
    dimension: Dimension,
    steps: u32,
) -> Result<(), TestCaseError> {
    let reduced = space.reduce(from, dimension, steps);
    prop_assert_eq!(reduced, reduce_by_force(cells, from, dimension, steps), "from {}", from);
    let Some(reduced) = reduced else { return Ok(()) };
    prop_assert_eq!(space.check(reduced), Ok(()));
    prop_assert!(reduced.vcpu <= from.vcpu && reduced.memory <= from.memory);
    let between = union(cells.iter().map(|it| of(dimension, *it)));
    let between =
        between.iter().filter(|size| (of(dimension, reduced)..of(dimension, from)).contains(size));
    prop_assert!(between.count() as u32 >= steps.max(1), "from {} to {}", from, reduced);
    Ok(())
}

proptest! {
    #[test]
    fn a_reduction_on_any_space_is_what_brute_force_finds(
        space in any_space(),
        (milli_vcpu, memory_mb) in (0u32..5_000, 0u32..5_000),
        dimension in any_dimension(),
        steps in 0u32..6,
    ) {
        let cells = all_cells(&space);
        check_reduce(&space, &cells, resources(milli_vcpu, memory_mb), dimension, steps)?;
        for from in cells.iter().step_by(7) {
            check_reduce(&space, &cells, *from, dimension, steps)?;
        }
        let largest = cells.iter().copied().max_by_key(|it| (it.vcpu, it.memory));
        prop_assert_eq!(Some(space.largest()), largest);
    }

    #[test]
    fn a_memory_size_gets_the_closest_vcpu_that_goes_with_it(space in any_space()) {
        let cells = all_cells(&space);
        for memory in space.memory_sizes.iter().map(|mb| MemoryMb(*mb)) {
            let share = (memory.0 * 1_000 + 512) / 1_024;
            let distance = |it: &Resources| (it.vcpu.0.abs_diff(share), u32::MAX - it.vcpu.0);
            let closest = cells.iter().filter(|it| it.memory == memory).copied().min_by_key(distance);
            prop_assert_eq!(Some(space.resources_for_memory(memory)), closest);
        }
    }

    #[test]
    fn a_narrowed_space_offers_those_of_the_range(
        space in any_space(),
        (from, to) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
    ) {
        let of_index = |index: prop::sample::Index| *index.get(&space.memory_sizes);
        let (smallest, largest) = (of_index(from).min(of_index(to)), of_index(from).max(of_index(to)));
        let narrowed = space.clone().with_memory_range(MemoryMb(smallest), MemoryMb(largest), 256);
        let in_range = |it: &Resources| (smallest..=largest).contains(&it.memory.0);
        let expected: Vec<Resources> = all_cells(&space).into_iter().filter(in_range).collect();
        prop_assert_eq!(all_cells(&narrowed.unwrap()), expected);
    }

    #[test]
    fn a_reduction_on_a_real_platform_is_what_brute_force_finds(
        platform in any::<prop::sample::Index>(),
        cell in any::<prop::sample::Index>(),
        dimension in any_dimension(),
        steps in 1u32..40,
    ) {
        let (space, cells) = platform.get(&COARSE);
        check_reduce(space, cells, *cell.get(cells), dimension, steps)?;
    }

    #[test]
    fn a_reduction_on_lambda_takes_memory_and_its_share(memory_mb in 128u32..=10_240, steps in 1u32..10_240) {
        let space = ResourceSpace::lambda();
        let from = space.resources_for_memory(MemoryMb(memory_mb));
        let expected = memory_mb.checked_sub(steps).filter(|mb| *mb >= 128);
        let expected = expected.map(|mb| space.resources_for_memory(MemoryMb(mb)));
        prop_assert_eq!(space.reduce(from, Dimension::Memory, steps), expected);
        prop_assert_eq!(space.reduce(from, Dimension::Vcpu, steps), None);
    }
}

#[test]
fn the_largest_can_be_limited_to_what_a_machine_has() {
    let up_to =
        |name: &str, vcpu| ResourceSpace::named(name).unwrap().largest_up_to(MilliVcpu(vcpu));
    assert_eq!(
        up_to("lambda", 2_000),
        Some(ResourceSpace::lambda().resources_for_memory(MemoryMb(3_538)))
    );
    assert_eq!(up_to("decoupled", 2_000), Some(resources(2_000, 10_240)));
    assert_eq!(up_to("fargate", 2_000), Some(resources(2_000, 16_384)));
    assert_eq!(up_to("fargate", 100), None);
    let lambda = ResourceSpace::lambda();
    assert_eq!(lambda.largest_up_to(MilliVcpu(u32::MAX)), Some(lambda.largest()));
}
