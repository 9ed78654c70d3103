//! Compiled conditions: typed trees over the fields of one transaction, evaluated without allocation.
//!
//! `None` is a failed evaluation: a value is missing, whole numbers overflow or are divided by zero, or NaN is to be
//! ordered. As in CEL, `&&` and `||` give a result in spite of it where the other side decides alone.

use std::sync::Arc;

use jiff::{Timestamp, civil::Weekday, tz::Offset};

use super::{
    fields::{Facts, IntField},
    lists::List,
};

/// What one evaluation reads.
#[derive(Clone, Copy)]
pub struct Input<'a> {
    pub facts: &'a Facts<'a>,
    /// NaN before the model.
    pub score: f32,
}

/// `==`, `!=` and the orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Arithmetic on two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
}

/// A part of a timestamp, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    FullYear,
    /// From 0.
    Month,
    /// Day of the month, from 1.
    Date,
    /// Day of the month, from 0.
    DayOfMonth,
    /// From 0, Sunday.
    DayOfWeek,
    Hours,
    Minutes,
    Seconds,
}

/// A condition.
#[derive(Debug)]
pub enum Bool {
    Constant(bool),
    Not(Box<Bool>),
    And(Box<[Bool; 2]>),
    Or(Box<[Bool; 2]>),
    If(Box<[Bool; 3]>),
    Same(Box<[Bool; 2]>),
    Ints(Comparison, Box<[Int; 2]>),
    Doubles(Comparison, Box<[Double; 2]>),
    Times(Comparison, Box<[Time; 2]>),
    /// Member of a list that may change.
    Listed(Box<Int>, Arc<List>),
    /// Member of a literal list, which is sorted.
    OneOfInts(Box<Int>, Box<[i64]>),
    OneOfDoubles(Box<Double>, Box<[f64]>),
}

/// A whole number.
#[derive(Debug)]
pub enum Int {
    Constant(i64),
    Field(IntField),
    Negative(Box<Int>),
    Arithmetic(Arithmetic, Box<[Int; 2]>),
    Remainder(Box<[Int; 2]>),
    If(Box<(Bool, [Int; 2])>),
    OfDouble(Box<Double>),
    OfTime(Part, Box<Time>),
}

/// A number.
#[derive(Debug)]
pub enum Double {
    Constant(f64),
    Column(usize),
    Score,
    Negative(Box<Double>),
    Arithmetic(Arithmetic, Box<[Double; 2]>),
    If(Box<(Bool, [Double; 2])>),
    OfInt(Box<Int>),
}

/// A point in time.
#[derive(Debug)]
pub enum Time {
    Constant(Timestamp),
    Datetime,
    If(Box<(Bool, [Time; 2])>),
}

impl Comparison {
    fn of<T: PartialOrd>(self, a: &T, b: &T) -> Option<bool> {
        match self {
            Self::Equal => Some(a == b),
            Self::Unequal => Some(a != b),
            Self::Less => a.partial_cmp(b).map(|order| order.is_lt()),
            Self::LessOrEqual => a.partial_cmp(b).map(|order| order.is_le()),
            Self::Greater => a.partial_cmp(b).map(|order| order.is_gt()),
            Self::GreaterOrEqual => a.partial_cmp(b).map(|order| order.is_ge()),
        }
    }
}

impl Bool {
    /// Whether the condition holds; nothing when that cannot be said.
    pub fn value(&self, input: Input<'_>) -> Option<bool> {
        match self {
            Self::Constant(value) => Some(*value),
            Self::Not(inner) => inner.value(input).map(|value| !value),
            Self::And(both) => match both[0].value(input) {
                Some(false) => Some(false),
                left => match both[1].value(input) {
                    Some(true) => left,
                    right => right,
                },
            },
            Self::Or(both) => match both[0].value(input) {
                Some(true) => Some(true),
                left => match both[1].value(input) {
                    Some(false) => left,
                    right => right,
                },
            },
            Self::If(parts) => match parts[0].value(input)? {
                true => parts[1].value(input),
                false => parts[2].value(input),
            },
            Self::Same(both) => Some(both[0].value(input)? == both[1].value(input)?),
            Self::Ints(comparison, both) => comparison.of(&both[0].value(input)?, &both[1].value(input)?),
            Self::Doubles(comparison, both) => comparison.of(&both[0].value(input)?, &both[1].value(input)?),
            Self::Times(comparison, both) => comparison.of(&both[0].value(input)?, &both[1].value(input)?),
            Self::Listed(value, list) => Some(list.contains(value.value(input)?)),
            Self::OneOfInts(value, all) => Some(all.binary_search(&value.value(input)?).is_ok()),
            Self::OneOfDoubles(value, all) => {
                let value = value.value(input)?;
                Some(all.contains(&value))
            }
        }
    }
}

impl Int {
    fn value(&self, input: Input<'_>) -> Option<i64> {
        match self {
            Self::Constant(value) => Some(*value),
            Self::Field(IntField::Id) => input.facts.id,
            Self::Field(IntField::Customer) => Some(input.facts.customer),
            Self::Field(IntField::Terminal) => Some(input.facts.terminal),
            Self::Field(IntField::Seconds) => Some(input.facts.time_seconds),
            Self::Field(IntField::Days) => Some(input.facts.time_days),
            Self::Negative(inner) => inner.value(input)?.checked_neg(),
            Self::Arithmetic(operation, both) => {
                let (a, b) = (both[0].value(input)?, both[1].value(input)?);
                match operation {
                    Arithmetic::Add => a.checked_add(b),
                    Arithmetic::Subtract => a.checked_sub(b),
                    Arithmetic::Multiply => a.checked_mul(b),
                    Arithmetic::Divide => a.checked_div(b),
                }
            }
            Self::Remainder(both) => both[0].value(input)?.checked_rem(both[1].value(input)?),
            Self::If(parts) => match parts.0.value(input)? {
                true => parts.1[0].value(input),
                false => parts.1[1].value(input),
            },
            Self::OfDouble(inner) => whole(inner.value(input)?),
            Self::OfTime(part, time) => Some(part.of(time.value(input)?)),
        }
    }
}

/// Towards zero; CEL excludes both ends of the range.
fn whole(value: f64) -> Option<i64> {
    (value > i64::MIN as f64 && value < i64::MAX as f64).then_some(value as i64)
}

impl Double {
    fn value(&self, input: Input<'_>) -> Option<f64> {
        match self {
            Self::Constant(value) => Some(*value),
            Self::Column(column) => present(*input.facts.row.get(*column)?),
            Self::Score => present(input.score),
            Self::Negative(inner) => inner.value(input).map(|value| -value),
            Self::Arithmetic(operation, both) => {
                let (a, b) = (both[0].value(input)?, both[1].value(input)?);
                match operation {
                    Arithmetic::Add => Some(a + b),
                    Arithmetic::Subtract => Some(a - b),
                    Arithmetic::Multiply => Some(a * b),
                    Arithmetic::Divide => Some(a / b),
                }
            }
            Self::If(parts) => match parts.0.value(input)? {
                true => parts.1[0].value(input),
                false => parts.1[1].value(input),
            },
            Self::OfInt(inner) => inner.value(input).map(|value| value as f64),
        }
    }
}

fn present(value: f32) -> Option<f64> {
    (!value.is_nan()).then_some(f64::from(value))
}

impl Time {
    fn value(&self, input: Input<'_>) -> Option<Timestamp> {
        match self {
            Self::Constant(value) => Some(*value),
            Self::Datetime => input.facts.datetime,
            Self::If(parts) => match parts.0.value(input)? {
                true => parts.1[0].value(input),
                false => parts.1[1].value(input),
            },
        }
    }
}

impl Part {
    fn of(self, time: Timestamp) -> i64 {
        let civil = Offset::UTC.to_datetime(time);
        match self {
            Self::FullYear => i64::from(civil.year()),
            Self::Month => i64::from(civil.month()) - 1,
            Self::Date => i64::from(civil.day()),
            Self::DayOfMonth => i64::from(civil.day()) - 1,
            Self::DayOfWeek => i64::from(civil.weekday().since(Weekday::Sunday)),
            Self::Hours => i64::from(civil.hour()),
            Self::Minutes => i64::from(civil.minute()),
            Self::Seconds => i64::from(civil.second()),
        }
    }
}
