use crate::orchestrated::*;
use optimizer::aarc::*;
use optimizer::deployment::Deployment;
use optimizer::price::PriceBook;
use optimizer::search::*;
use optimizer::units::*;

pub(crate) fn drive(
    steps: &Steps,
    parameters: AarcParameters,
) -> (AarcSearch, Vec<(Trial, Verdict)>, Recommendation) {
    let workflow = steps.workflow();
    let start = Deployment::unfused(&workflow);
    let mut search = AarcSearch::new(&workflow, start, steps.space.clone(), parameters).unwrap();
    let mut trials = Vec::new();
    for round in 0..10_000 {
        match search.next() {
            Step::Try(trial) => {
                let verdict = search.observe(&steps.measure(&trial, round));
                trials.push((trial, verdict));
            }
            Step::Done(r) => return (search, trials, r),
        }
    }
    panic!()
}

fn rnd(s: &mut u64) -> u64 {
    *s = s.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut b = *s;
    b = (b ^ (b >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    b = (b ^ (b >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    b ^ (b >> 31)
}

pub(crate) fn random_case(seed: u64) -> Steps {
    let mut s = seed;
    let n = 2 + rnd(&mut s) % 3;
    let tasks: Vec<Needs> = (0..n)
        .map(|_| {
            let total = 2_000_000 + rnd(&mut s) % 60_000_000;
            let par = rnd(&mut s) % 101;
            let wait = if rnd(&mut s) % 3 == 0 { rnd(&mut s) % 10_000_000 } else { 0 };
            Needs {
                waiting_us: wait,
                serial_us: total * (100 - par) / 100,
                parallel_us: total * par / 100,
                floor_mb: 100 + (rnd(&mut s) % 3000) as u32,
            }
        })
        .collect();
    let after: Vec<Vec<usize>> =
        (0..n as usize).map(|i| (0..i).filter(|_| rnd(&mut s) % 2 == 0).collect()).collect();
    let after: Vec<&[usize]> = after.iter().map(|a| &a[..]).collect();
    Steps::new(tasks, &after).with_slo_percent(110 + rnd(&mut s) % 300)
}

#[test]
#[ignore]
fn explore() {
    for prices in ["thesis", "cloudrun"] {
        for (ft, vs, noise, tol, margin, ex) in [
            (3, 4, 0, 5, 5, 1),
            (3, 4, 30, 5, 5, 1),
            (3, 4, 60, 5, 5, 1),
            (3, 4, 100, 10, 10, 1),
            (3, 4, 100, 5, 5, 3),
            (3, 4, 30, 5, 5, 20),
        ] {
            let mut ratios = Vec::new();
            let mut count = 0;
            let mut missed = 0;
            let mut val = 0;
            for seed in 0..150 {
                let mut steps = random_case(seed * 7919 + 3);
                if prices == "cloudrun" {
                    steps.prices = PriceBook {
                        per_vcpu_second: PicoUsd(24_000_000),
                        per_gb_second: PicoUsd(2_500_000),
                        per_request: PicoUsd(400_000),
                        ..PriceBook::thesis_decoupled()
                    };
                }
                steps.noise_permille = noise;
                steps.seed = seed;
                let Some(opt) = steps.optimum() else { continue };
                let largest = steps.space.largest();
                let p = AarcParameters {
                    function_trials: ft,
                    tolerance_percent: tol,
                    slo_margin_percent: margin,
                    executions: ex,
                    vcpu_step: Some(MilliVcpu(largest.vcpu.0 / vs)),
                    memory_step: Some(MemoryMb(largest.memory.0 / vs)),
                    ..AarcParameters::default()
                };
                let (_s, trials, r) = drive(&steps, p);
                count += trials.len();
                val += trials.iter().filter(|(t, _)| t.executions == 20).count();
                if r.standing != Standing::KeepsSlo {
                    missed += 1;
                    continue;
                }
                let (cost, lat) = steps.judge(&r.deployment).unwrap();
                if noise == 0 {
                    assert!(lat <= steps.slo.latency_us);
                }
                ratios.push(cost.0 as f64 / opt.0 as f64);
                if std::env::var("SHOW").is_ok()
                    && cost.0 as f64 / opt.0 as f64 > 1.6
                    && noise == 30
                {
                    println!(
                        "---- {prices} seed {seed} ratio {} slo {} needs {:?} steps {:?} lat {lat}",
                        cost.0 as f64 / opt.0 as f64,
                        steps.slo.latency_us,
                        steps.tasks,
                        steps.steps
                    );
                    for t in &r.reasons {
                        println!("  {t}");
                    }
                }
            }
            ratios.sort_by(f64::total_cmp);
            let q = |x: f64| ratios[((ratios.len() - 1) as f64 * x) as usize];
            println!(
                "{prices} ft {ft} step 1/{vs} noise {noise} tol {tol} margin {margin} ex {ex}: n {} median {:.3} mean {:.3} p90 {:.3} max {:.3} trials {:.1} validations {:.2} missed {missed}",
                ratios.len(),
                q(0.5),
                ratios.iter().sum::<f64>() / ratios.len() as f64,
                q(0.9),
                q(1.0),
                count as f64 / 150.0,
                val as f64 / 150.0
            );
        }
    }
}
