//! Rules, lists and transactions for tests.

use std::collections::BTreeMap;

use super::*;
use crate::features::Schema;

pub fn rule(name: &str, when: &str, action: Action, mode: Mode) -> RuleConfig {
    RuleConfig {
        name: name.into(),
        when: when.into(),
        action,
        mode,
        reason: None,
    }
}

pub fn fields() -> FieldTypes {
    FieldTypes::new(Schema::card_payment().inputs())
}

/// `vip` has 7, `blocked` has 1 to 3.
pub fn lists() -> Lists {
    let list = |values: &[i64]| ListConfig {
        values: values.to_vec(),
    };
    let all = BTreeMap::from([("vip".into(), list(&[7])), ("blocked".into(), list(&[1, 2, 3]))]);
    Lists::open(&all, std::path::Path::new("/nowhere")).unwrap()
}

pub fn compile(configs: &[RuleConfig]) -> Result<Rules, RuleError> {
    Rules::compile(configs, &lists(), &fields())
}

/// Customer 42 at terminal 43 with an amount of 10, on Sunday, 1 April 2018, 23:15:31 UTC; all averages 10.
pub fn facts(row: &[f32]) -> Facts<'_> {
    Facts {
        id: Some(1),
        datetime: Some("2018-04-01T23:15:31Z".parse().unwrap()),
        customer: 42,
        terminal: 43,
        time_seconds: 31,
        time_days: 0,
        row,
    }
}

pub fn row() -> [f32; 15] {
    [
        10.0, 1.0, 0.0, 1.0, 10.0, 1.0, 10.0, 1.0, 10.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0,
    ]
}
