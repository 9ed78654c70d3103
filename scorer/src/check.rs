//! `check FILE`: what a model is, or why it cannot be served.

use std::{fmt::Write as _, path::Path};

use serde_json::{Value, json};

use crate::{
    config::CheckArgs,
    model::{self, Loaded, ModelError, Runtime, Verified},
};

/// The report of a file, and whether it can be served.
pub fn check(arguments: &CheckArgs) -> (String, bool) {
    let outcome = examine(&arguments.file, arguments.onnxruntime.as_deref());
    let servable = outcome.is_ok();
    let report = match outcome {
        Ok(facts) if arguments.json => facts.to_string(),
        Ok(facts) => text(&facts),
        Err(error) if arguments.json => {
            json!({"servable": false, "reason": error.reason.as_str(), "message": error.message}).to_string()
        }
        Err(error) => format!("{} cannot be served\n  {error}", arguments.file.display()),
    };
    (report, servable)
}

fn examine(file: &Path, library: Option<&Path>) -> Result<Value, ModelError> {
    let verified = model::verify(file)?;
    let loaded = model::load(&Runtime::load(library)?, &verified, 1)?;
    Ok(facts(file, &verified, &loaded))
}

fn facts(file: &Path, model: &Verified, loaded: &Loaded) -> Value {
    let Verified {
        bytes,
        sha256,
        outline,
        metadata,
        ..
    } = model;
    let values = |list: &[(String, model::ValueType)]| -> Vec<Value> {
        list.iter()
            .map(|(name, kind)| json!({"name": name, "type": kind.to_string()}))
            .collect()
    };
    json!({
        "servable": true,
        "file": file.display().to_string(),
        "bytes": bytes.len(),
        "sha256": sha256,
        "name": metadata.card.name,
        "version": metadata.card.version,
        "algorithm": metadata.card.algorithm,
        "producer": outline.producer,
        "nodes": outline.nodes,
        "inputs": values(&outline.inputs),
        "outputs": values(&outline.outputs),
        "probability": {"tensor": metadata.output.tensor, "column": metadata.output.column},
        "engine": loaded.kind.as_str(),
        "engineReason": loaded.why,
        "features": metadata.features.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(),
        "thresholds": metadata.thresholds.map(|t| json!({"review": t.review(), "block": t.block()})),
        "metrics": metadata.metrics,
        "golden": {"rows": metadata.golden.len(), "maxDifference": model::decimal(loaded.golden_difference), "allowed": model::decimal(model::MAX_DIFFERENCE)},
    })
}

fn text(facts: &Value) -> String {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let typed = |list: &Value| {
        let each = list.as_array().into_iter().flatten();
        let each: Vec<_> = each
            .map(|v| format!("{} {}", plain(&v["name"]), plain(&v["type"])))
            .collect();
        each.join(", ")
    };
    let mut page = format!("{} can be served\n", plain(&facts["file"]));
    let mut row = |name: &str, value: String| {
        let _ = writeln!(page, "  {name:<11} {value}");
    };
    row("name", plain(&facts["name"]));
    row("version", plain(&facts["version"]));
    row("algorithm", plain(&facts["algorithm"]));
    row("sha256", plain(&facts["sha256"]));
    row(
        "size",
        format!(
            "{} bytes, {} nodes, by {}",
            facts["bytes"],
            facts["nodes"],
            plain(&facts["producer"])
        ),
    );
    row("inputs", typed(&facts["inputs"]));
    row("outputs", typed(&facts["outputs"]));
    let probability = &facts["probability"];
    row(
        "probability",
        format!("{}[{}]", plain(&probability["tensor"]), probability["column"]),
    );
    row(
        "engine",
        format!("{}: {}", plain(&facts["engine"]), plain(&facts["engineReason"])),
    );
    let features = facts["features"].as_array().cloned().unwrap_or_default();
    let features: Vec<_> = features.iter().map(&plain).collect();
    row("features", format!("{}: {}", features.len(), features.join(", ")));
    row("thresholds", plain(&facts["thresholds"]));
    row("metrics", plain(&facts["metrics"]));
    let golden = &facts["golden"];
    let (rows, difference, allowed) = (&golden["rows"], &golden["maxDifference"], &golden["allowed"]);
    row(
        "golden",
        format!("{rows} rows replayed, at most {difference} apart ({allowed} allowed)"),
    );
    page.truncate(page.trim_end().len());
    page
}
