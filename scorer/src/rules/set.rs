//! The rules of one model, compiled.

use super::{
    Action, Facts, FieldTypes, Lists, Mode, RuleConfig, RuleError, Verdict, config, lower,
    parse::parse,
    program::{Bool, Input},
};

/// The rules of one model. Shared by the serving threads; lists may change inside, nothing else does.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    before: Vec<Step>,
    after: Vec<Step>,
}

#[derive(Debug)]
struct Rule {
    name: String,
    action: Action,
    mode: Mode,
    reason: Option<String>,
}

#[derive(Debug)]
struct Step {
    index: u8,
    action: Action,
    enforced: bool,
    condition: Bool,
}

impl Rules {
    /// Checks and compiles `configs`. Whatever is wrong with one of them is told here, never when a payment arrives.
    ///
    /// # Errors
    /// The first rule that cannot be used, and why.
    pub fn compile(configs: &[RuleConfig], lists: &Lists, fields: &FieldTypes) -> Result<Self, RuleError> {
        config::check(configs)?;
        let mut rules = Self::default();
        for (index, config) in (0_u8..).zip(configs) {
            let lowered = parse(&config.when).and_then(|parsed| lower::lower(&parsed, fields, lists));
            let lowered = lowered.map_err(|problem| RuleError::new(&config.name, problem))?;
            let steps = if lowered.uses_score {
                &mut rules.after
            } else {
                &mut rules.before
            };
            steps.push(Step {
                index,
                action: config.action,
                enforced: config.mode == Mode::Enforce,
                condition: lowered.condition,
            });
            rules.rules.push(Rule {
                name: config.name.clone(),
                action: config.action,
                mode: config.mode,
                reason: config.reason.clone(),
            });
        }
        // The first hit of a phase is then the one that decides.
        rules.before.sort_by_key(|step| (step.action, step.index));
        rules.after.sort_by_key(|step| (step.action, step.index));
        Ok(rules)
    }

    /// The rules that do not need the model's score.
    pub fn before(&self, facts: &Facts<'_>) -> Verdict {
        run(
            &self.before,
            Input {
                facts,
                score: f32::NAN,
            },
        )
    }

    /// The rules that need the model's score, in 0..1. Not asked when there is none.
    pub fn after(&self, facts: &Facts<'_>, score: f32) -> Verdict {
        run(&self.after, Input { facts, score })
    }

    /// Number of rules.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Name of a rule.
    pub fn name(&self, index: usize) -> Option<&str> {
        self.rules.get(index).map(|rule| rule.name.as_str())
    }

    /// What the answer says of a hit, where the manifest has a text for it.
    pub fn reason(&self, index: usize) -> Option<&str> {
        self.rules.get(index).and_then(|rule| rule.reason.as_deref())
    }

    /// What a hit means, and whether it decides.
    pub fn kind(&self, index: usize) -> Option<(Action, Mode)> {
        self.rules.get(index).map(|rule| (rule.action, rule.mode))
    }
}

fn run(steps: &[Step], input: Input<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    for step in steps {
        match step.condition.value(input) {
            Some(false) => {}
            Some(true) => {
                verdict.hits |= 1 << step.index;
                if step.enforced && verdict.action.is_none() {
                    verdict.action = Some((step.action, step.index));
                }
            }
            None => verdict.errors |= 1 << step.index,
        }
    }
    verdict
}
