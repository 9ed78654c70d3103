//! Time of the engines for one model, one thread, rows rotated:
//!
//!     ORT_DYLIB_PATH=… cargo run --release -p fraudops-scorer --example engine_bench -- MODEL.onnx
//!
//! With `--walk N` only the tree engine scores N single rows, for an instruction count: run it under
//! `valgrind --tool=callgrind` with two values of N, and divide the difference.

use std::{
    env,
    hint::black_box,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use fraudops_scorer::{
    engine::{
        Choice, Engine,
        tree::{native, probe},
    },
    model::{Profile, Runtime, Verified, Wanted, load_as, verify},
};

const SIZES: [usize; 4] = [1, 7, 16, 64];
const TIME: Duration = Duration::from_millis(400);
const ROUNDS: usize = 5;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = env::args().skip(1);
    let file = arguments.next().ok_or("which model?")?;
    let model = verify(Path::new(&file))?;
    let mut tree = native(&model.bytes, &model.shape);
    let rows = rows(&model);
    if arguments.next().as_deref() == Some("--walk") {
        let count: usize = arguments.next().ok_or("how many rows?")?.parse()?;
        let engine = tree.as_mut().map_err(|error| error.clone())?;
        walk(engine, &rows, count);
        return Ok(());
    }
    match &mut tree {
        Ok(engine) => {
            println!(
                "{} trees, {} nodes, {} bytes",
                engine.trees(),
                engine.nodes(),
                engine.bytes()
            );
            report("tree", engine, &rows);
        }
        Err(error) => println!("tree: {error}"),
    }
    let library = env::var_os("ORT_DYLIB_PATH").map(PathBuf::from);
    let wanted = Wanted {
        choice: Choice::Onnxruntime,
        thresholds: None,
    };
    let runtime = Runtime::load(library.as_deref())?;
    let mut onnx = load_as(&runtime, &model, 1, wanted)?.engines.remove(0);
    report("onnxruntime", &mut onnx, &rows);
    if let Ok(engine) = &mut tree {
        let agreement = probe::compare(engine, &mut onnx, &rows, model.metadata.thresholds.as_ref())?;
        println!("{agreement:?}");
    }
    Ok(())
}

/// Rows as the probe makes them: they spread over the model's splits, so no branch predictor learns them.
fn rows(model: &Verified) -> Vec<f32> {
    let profiles: Vec<_> = model.metadata.features.iter().map(Profile::of).collect();
    let splits = native(&model.bytes, &model.shape).map_or_else(
        |_| vec![Vec::new(); model.shape.width],
        |engine| engine.splits().to_vec(),
    );
    probe::rows(&profiles, &splits)
}

fn walk(engine: &mut dyn Engine, rows: &[f32], count: usize) {
    let width = engine.width();
    let mut scores = Vec::with_capacity(1);
    for row in rows.chunks(width).cycle().take(count) {
        scores.clear();
        let _ = black_box(engine.score(black_box(row), &mut scores));
    }
}

fn report(name: &str, engine: &mut dyn Engine, rows: &[f32]) {
    for size in SIZES {
        let mut best: Vec<f64> = (0..ROUNDS).map(|_| round(engine, rows, size)).collect();
        best.sort_by(f64::total_cmp);
        println!(
            "{name:<12} batch {size:>3}: {:>8.2} µs a call, {:>7.3} µs a row (median of {ROUNDS}, best {:.2})",
            best[ROUNDS / 2],
            best[ROUNDS / 2] / size as f64,
            best[0]
        );
    }
}

/// Microseconds of one call.
fn round(engine: &mut dyn Engine, rows: &[f32], size: usize) -> f64 {
    let width = engine.width();
    let mut scores = Vec::with_capacity(size);
    let (start, mut calls) = (Instant::now(), 0_u32);
    while start.elapsed() < TIME {
        for batch in rows.chunks_exact(size * width) {
            scores.clear();
            let _ = black_box(engine.score(black_box(batch), &mut scores));
            calls += 1;
        }
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}
