//! Where labels meet the answers they are about. Either may come first: a simulation may run through its label delay
//! in less time than a request takes.

use std::collections::HashMap;

use super::answer::{Answer, Decision};
use crate::feed::Known;

/// A transaction that was answered and whose truth is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// What was decided.
    pub decision: Decision,
    /// The receipt of that.
    pub receipt: Option<Box<str>>,
    /// What it was.
    pub is_fraud: bool,
}

/// Transactions that wait for an answer, a label or both. Holds as many as are asked within the label delay.
#[derive(Debug, Default)]
pub struct Ledger {
    open: HashMap<u32, Open>,
}

#[derive(Debug)]
enum Open {
    Asked,
    Known(bool),
    Answered(Decision, Option<Box<str>>),
}

impl Ledger {
    /// A transaction is asked about whose label will come.
    pub fn asked(&mut self, row: u32) {
        self.open.insert(row, Open::Asked);
    }

    /// It got no answer: its label concerns nobody.
    pub fn failed(&mut self, row: u32) {
        self.open.remove(&row);
    }

    /// It got an answer.
    pub fn answered(&mut self, row: u32, answer: Answer) -> Option<Labelled> {
        let Answer {
            decision, receipt, ..
        } = answer;
        match self.open.remove(&row)? {
            Open::Known(is_fraud) => Some(Labelled {
                decision,
                receipt,
                is_fraud,
            }),
            Open::Asked | Open::Answered(..) => {
                self.open.insert(row, Open::Answered(decision, receipt));
                None
            }
        }
    }

    /// Its label came.
    pub fn known(&mut self, known: Known) -> Option<Labelled> {
        let Known { row, is_fraud, .. } = known;
        match self.open.remove(&row)? {
            Open::Answered(decision, receipt) => Some(Labelled {
                decision,
                receipt,
                is_fraud,
            }),
            Open::Asked | Open::Known(_) => {
                self.open.insert(row, Open::Known(is_fraud));
                None
            }
        }
    }

    /// Number of transactions that wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.open.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        Answer {
            decision: Decision::Block,
            receipt: Some("AT0V".into()),
            is_model_error: false,
        }
    }

    const KNOWN: Known = Known {
        seconds: 9,
        row: 1,
        is_fraud: true,
    };

    #[test]
    fn label_and_answer_meet_whichever_comes_first() {
        let labelled = Some(Labelled {
            decision: Decision::Block,
            receipt: Some("AT0V".into()),
            is_fraud: true,
        });
        let mut ledger = Ledger::default();
        ledger.asked(1);
        assert_eq!(ledger.answered(1, answer()), None);
        assert_eq!(ledger.known(KNOWN), labelled);
        ledger.asked(1);
        assert_eq!(ledger.known(KNOWN), None);
        assert_eq!(ledger.answered(1, answer()), labelled);
        assert_eq!(ledger.waiting(), 0);
    }

    #[test]
    fn what_failed_or_has_no_label_is_forgotten() {
        let mut ledger = Ledger::default();
        ledger.asked(1);
        ledger.failed(1);
        assert_eq!(ledger.known(KNOWN), None);
        assert_eq!(ledger.answered(2, answer()), None);
        assert_eq!(ledger.waiting(), 0);
    }
}
