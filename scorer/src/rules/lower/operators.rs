//! Operators and conversions: which types go together.

use cel::common::ast::IdedExpr;

use super::{Lowering, Typed, as_compared_with};
use crate::rules::program::{Arithmetic, Bool, Comparison, Double, Int, Time};

impl Lowering<'_> {
    pub(super) fn condition(&mut self, node: &IdedExpr) -> Result<Bool, String> {
        match self.typed(node)? {
            Typed::Bool(condition) => Ok(condition),
            other => self.fail(
                node,
                format!(
                    "true or false is needed here, this is {}: compare it with something",
                    other.kind()
                ),
            ),
        }
    }

    pub(super) fn both(&mut self, a: &IdedExpr, b: &IdedExpr) -> Result<Box<[Bool; 2]>, String> {
        Ok(Box::new([self.condition(a)?, self.condition(b)?]))
    }

    pub(super) fn conditional(
        &mut self,
        node: &IdedExpr,
        condition: &IdedExpr,
        yes: &IdedExpr,
        no: &IdedExpr,
    ) -> Result<Typed, String> {
        let condition = self.condition(condition)?;
        match (self.typed(yes)?, self.typed(no)?) {
            (Typed::Bool(yes), Typed::Bool(no)) => Ok(Typed::Bool(Bool::If(Box::new([condition, yes, no])))),
            (Typed::Int(yes), Typed::Int(no)) => Ok(Typed::Int(Int::If(Box::new((condition, [yes, no]))))),
            (Typed::Double(yes), Typed::Double(no)) => {
                Ok(Typed::Double(Double::If(Box::new((condition, [yes, no])))))
            }
            (Typed::Time(yes), Typed::Time(no)) => {
                Ok(Typed::Time(Time::If(Box::new((condition, [yes, no])))))
            }
            (yes, no) => self.fail(
                node,
                format!(
                    "both sides of ':' must have one type, these are {} and {}{}",
                    yes.kind(),
                    no.kind(),
                    mixing(&yes, &no)
                ),
            ),
        }
    }

    pub(super) fn compare(
        &mut self,
        node: &IdedExpr,
        comparison: Comparison,
        a: &IdedExpr,
        b: &IdedExpr,
    ) -> Result<Typed, String> {
        let equality = matches!(comparison, Comparison::Equal | Comparison::Unequal);
        Ok(Typed::Bool(match (self.typed(a)?, self.typed(b)?) {
            (Typed::Int(a), Typed::Int(b)) => Bool::Ints(comparison, Box::new([a, b])),
            (Typed::Double(a), Typed::Double(b)) => doubles(comparison, a, b),
            (Typed::Int(a), Typed::Double(b)) => doubles(comparison, of_int(a), b),
            (Typed::Double(a), Typed::Int(b)) => doubles(comparison, a, of_int(b)),
            (Typed::Time(a), Typed::Time(b)) => Bool::Times(comparison, Box::new([a, b])),
            (Typed::Bool(a), Typed::Bool(b)) if equality => {
                let same = Bool::Same(Box::new([a, b]));
                match comparison {
                    Comparison::Unequal => Bool::Not(Box::new(same)),
                    _ => same,
                }
            }
            (a, b) => {
                return self.fail(node, format!("{} and {} cannot be compared", a.kind(), b.kind()));
            }
        }))
    }

    pub(super) fn arithmetic(
        &mut self,
        node: &IdedExpr,
        arithmetic: Arithmetic,
        a: &IdedExpr,
        b: &IdedExpr,
    ) -> Result<Typed, String> {
        match (self.typed(a)?, self.typed(b)?) {
            (Typed::Int(a), Typed::Int(b)) => Ok(Typed::Int(Int::Arithmetic(arithmetic, Box::new([a, b])))),
            (Typed::Double(a), Typed::Double(b)) => {
                Ok(Typed::Double(Double::Arithmetic(arithmetic, Box::new([a, b]))))
            }
            (a, b) => self.fail(
                node,
                format!(
                    "this cannot be computed from {} and {}{}",
                    a.kind(),
                    b.kind(),
                    mixing(&a, &b)
                ),
            ),
        }
    }

    pub(super) fn remainder(&mut self, node: &IdedExpr, a: &IdedExpr, b: &IdedExpr) -> Result<Typed, String> {
        match (self.typed(a)?, self.typed(b)?) {
            (Typed::Int(a), Typed::Int(b)) => Ok(Typed::Int(Int::Remainder(Box::new([a, b])))),
            (a, b) => self.fail(
                node,
                format!(
                    "% needs two ints, these are {} and {}: use int(…)",
                    a.kind(),
                    b.kind()
                ),
            ),
        }
    }

    pub(super) fn negative(&mut self, node: &IdedExpr, inner: &IdedExpr) -> Result<Typed, String> {
        match self.typed(inner)? {
            Typed::Int(inner) => Ok(Typed::Int(Int::Negative(Box::new(inner)))),
            Typed::Double(inner) => Ok(Typed::Double(Double::Negative(Box::new(inner)))),
            other => self.fail(node, format!("- needs a number, this is {}", other.kind())),
        }
    }

    pub(super) fn int_of(&mut self, node: &IdedExpr, inner: &IdedExpr) -> Result<Typed, String> {
        match self.typed(inner)? {
            Typed::Int(inner) => Ok(Typed::Int(inner)),
            Typed::Double(inner) => Ok(Typed::Int(Int::OfDouble(Box::new(inner)))),
            other => self.fail(node, format!("int() needs a number, this is {}", other.kind())),
        }
    }

    pub(super) fn double_of(&mut self, node: &IdedExpr, inner: &IdedExpr) -> Result<Typed, String> {
        match self.typed(inner)? {
            Typed::Int(inner) => Ok(Typed::Double(of_int(inner))),
            Typed::Double(inner) => Ok(Typed::Double(inner)),
            other => self.fail(node, format!("double() needs a number, this is {}", other.kind())),
        }
    }
}

fn mixing(a: &Typed, b: &Typed) -> &'static str {
    match (a, b) {
        (Typed::Int(_), Typed::Double(_)) | (Typed::Double(_), Typed::Int(_)) => {
            ": write 5.0 instead of 5, or convert with double(…)"
        }
        _ => "",
    }
}

fn of_int(value: Int) -> Double {
    match value {
        Int::Constant(value) => Double::Constant(value as f64),
        other => Double::OfInt(Box::new(other)),
    }
}

fn doubles(comparison: Comparison, a: Double, b: Double) -> Bool {
    let pair = match (a, b) {
        (Double::Constant(a), b) => [Double::Constant(as_compared_with(&b, a)), b],
        (a, Double::Constant(b)) => {
            let b = as_compared_with(&a, b);
            [a, Double::Constant(b)]
        }
        pair => pair.into(),
    };
    Bool::Doubles(comparison, Box::new(pair))
}
