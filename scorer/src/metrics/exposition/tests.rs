use std::time::{Duration, UNIX_EPOCH};

use super::*;

/// One family of each kind, with everything that must be escaped.
fn page(format: Format) -> String {
    let exemplar = Exemplar {
        trace: [0xab; 16],
        value: 0.3,
        at: UNIX_EPOCH + Duration::from_millis(1_500),
    };
    let mut out = Exposition::new(format, 1.25);
    out.info("build_info", "This program.", &[("version", "1")]);
    out.label_all(&[("model", "a\"b\\c\nd")]);
    out.counter("hits_total", "Said \"so\"\\\n.")
        .sample(&[("rule", "x")], 3_u64)
        .sample_with(&[("rule", "y")], 0.5, Some(&exemplar));
    out.gauge("open_files", "Files.").sample(&[], f64::INFINITY);
    out.histogram("took_seconds", "Time.").sample(
        &[("path", "/")],
        &Buckets {
            bounds: &[0.5, 1.0],
            counts: &[1, 2, 3],
            sum: 7.5,
            exemplars: &[Some(exemplar)],
        },
    );
    out.finish()
}

#[test]
fn the_text_format_has_its_names_and_escapes() {
    assert_eq!(
        page(Format::Text),
        r##"# TYPE build_info gauge
# HELP build_info This program.
build_info{version="1"} 1
# TYPE hits_total counter
# HELP hits_total Said "so"\\\n.
hits_total{model="a\"b\\c\nd",rule="x"} 3
hits_total{model="a\"b\\c\nd",rule="y"} 0.5
# TYPE open_files gauge
# HELP open_files Files.
open_files{model="a\"b\\c\nd"} +Inf
# TYPE took_seconds histogram
# HELP took_seconds Time.
took_seconds_bucket{model="a\"b\\c\nd",path="/",le="0.5"} 1
took_seconds_bucket{model="a\"b\\c\nd",path="/",le="1.0"} 3
took_seconds_bucket{model="a\"b\\c\nd",path="/",le="+Inf"} 6
took_seconds_sum{model="a\"b\\c\nd",path="/"} 7.5
took_seconds_count{model="a\"b\\c\nd",path="/"} 6
"##
    );
}

#[test]
fn openmetrics_has_units_creation_times_exemplars_and_an_end() {
    assert_eq!(
        page(Format::OpenMetrics),
        r##"# TYPE build info
# HELP build This program.
build_info{version="1"} 1
# TYPE hits counter
# HELP hits Said \"so\"\\\n.
hits_total{model="a\"b\\c\nd",rule="x"} 3
hits_created{model="a\"b\\c\nd",rule="x"} 1.25
hits_total{model="a\"b\\c\nd",rule="y"} 0.5 # {trace_id="abababababababababababababababab"} 0.3 1.5
hits_created{model="a\"b\\c\nd",rule="y"} 1.25
# TYPE open_files gauge
# HELP open_files Files.
open_files{model="a\"b\\c\nd"} +Inf
# TYPE took_seconds histogram
# UNIT took_seconds seconds
# HELP took_seconds Time.
took_seconds_bucket{model="a\"b\\c\nd",path="/",le="0.5"} 1 # {trace_id="abababababababababababababababab"} 0.3 1.5
took_seconds_bucket{model="a\"b\\c\nd",path="/",le="1.0"} 3
took_seconds_bucket{model="a\"b\\c\nd",path="/",le="+Inf"} 6
took_seconds_sum{model="a\"b\\c\nd",path="/"} 7.5
took_seconds_count{model="a\"b\\c\nd",path="/"} 6
took_seconds_created{model="a\"b\\c\nd",path="/"} 1.25
# EOF
"##
    );
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "hits is written twice")]
fn a_family_has_one_owner() {
    let mut out = Exposition::new(Format::Text, 0.0);
    out.counter("hits", "A.");
    out.counter("hits_total", "B.");
}
