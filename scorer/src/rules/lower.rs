//! From the syntax tree to a typed program: names are looked up, types are checked, once.
//!
//! The types are CEL's: bool, int, double, timestamp. As in CEL an int may be compared with a double (the int is made a
//! double first), and may not be added to one.

mod member;
mod operators;

use cel::common::ast::{CallExpr, Expr, IdedExpr, LiteralValue, SelectExpr, operators as op};
use jiff::Timestamp;

use super::{
    fields::{FieldTypes, LISTS, Slot},
    lists::Lists,
    parse::Parsed,
    program::{Arithmetic, Bool, Comparison, Double, Int, Part, Time},
};

/// A condition, checked.
pub struct Lowered {
    /// What is evaluated.
    pub condition: Bool,
    /// Whether it needs the model's score.
    pub uses_score: bool,
}

/// Checks and compiles a parsed condition. An error names the place and the way out.
pub fn lower(parsed: &Parsed, fields: &FieldTypes, lists: &Lists) -> Result<Lowered, String> {
    let mut lowering = Lowering {
        parsed,
        fields,
        lists,
        uses_score: false,
    };
    match lowering.typed(&parsed.tree)? {
        Typed::Bool(condition) => Ok(Lowered {
            condition,
            uses_score: lowering.uses_score,
        }),
        other => Err(format!(
            "the condition gives {}, it must give true or false: compare it with something",
            other.kind()
        )),
    }
}

enum Typed {
    Bool(Bool),
    Int(Int),
    Double(Double),
    Time(Time),
}

impl Typed {
    fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Double(_) => "double",
            Self::Time(_) => "timestamp",
        }
    }
}

struct Lowering<'a> {
    parsed: &'a Parsed,
    fields: &'a FieldTypes,
    lists: &'a Lists,
    uses_score: bool,
}

impl Lowering<'_> {
    fn fail<T>(&self, node: &IdedExpr, problem: impl std::fmt::Display) -> Result<T, String> {
        Err(self.parsed.at(node.id, problem))
    }

    fn typed(&mut self, node: &IdedExpr) -> Result<Typed, String> {
        match &node.expr {
            Expr::Literal(literal) => self.literal(node, literal),
            Expr::Ident(name) => self.name(node, name),
            Expr::Call(call) => self.call(node, call),
            Expr::Select(select) => self.select(node, select),
            Expr::List(_) => self.fail(node, "a list may only stand to the right of `in`"),
            Expr::Comprehension(_) => self.fail(
                node,
                "loops (all, exists, exists_one, map, filter) are not possible: their cost has no bound",
            ),
            Expr::Map(_) | Expr::Struct(_) => {
                self.fail(node, "maps and messages are not possible in a condition")
            }
            Expr::Unspecified => self.fail(node, "this is no CEL expression"),
        }
    }

    fn literal(&self, node: &IdedExpr, literal: &LiteralValue) -> Result<Typed, String> {
        match literal {
            LiteralValue::Boolean(value) => Ok(Typed::Bool(Bool::Constant(*value.inner()))),
            LiteralValue::Int(value) => Ok(Typed::Int(Int::Constant(*value.inner()))),
            LiteralValue::Double(value) => Ok(Typed::Double(Double::Constant(*value.inner()))),
            LiteralValue::UInt(_) => {
                self.fail(node, "unsigned numbers are not possible: write 5 instead of 5u")
            }
            LiteralValue::String(_) => self.fail(
                node,
                "no field is a text; a text is only possible in timestamp(\"2026-11-01T00:00:00Z\")",
            ),
            LiteralValue::Bytes(_) => self.fail(node, "no field holds bytes: compare with a number"),
            LiteralValue::Null => self.fail(
                node,
                "no field is null: a condition that reads a missing value counts as not met",
            ),
        }
    }

    fn name(&mut self, node: &IdedExpr, name: &str) -> Result<Typed, String> {
        match self.fields.find(name) {
            Some(Slot::Int(field)) => Ok(Typed::Int(Int::Field(field))),
            Some(Slot::Datetime) => Ok(Typed::Time(Time::Datetime)),
            Some(Slot::Column(column)) => Ok(Typed::Double(Double::Column(column))),
            Some(Slot::Score) => {
                self.uses_score = true;
                Ok(Typed::Double(Double::Score))
            }
            None if name == LISTS => self.fail(node, "write `CUSTOMER_ID in lists.<name>`"),
            None => self.fail(
                node,
                format!("there is no field {name}; there are {}", self.fields.names()),
            ),
        }
    }

    fn select(&self, node: &IdedExpr, select: &SelectExpr) -> Result<Typed, String> {
        match &select.operand.expr {
            _ if select.test => self.fail(
                node,
                "has() is not possible: a condition that reads a missing value counts as not met",
            ),
            Expr::Ident(name) if name == LISTS => self.fail(
                node,
                format!(
                    "a list may only stand to the right of `in`: CUSTOMER_ID in lists.{}",
                    select.field
                ),
            ),
            _ => self.fail(
                node,
                format!(
                    "there is no field .{}: fields have no fields of their own",
                    select.field
                ),
            ),
        }
    }

    fn call(&mut self, node: &IdedExpr, call: &CallExpr) -> Result<Typed, String> {
        if let Some(target) = &call.target {
            return self.method(node, target, call);
        }
        match (call.func_name.as_str(), call.args.as_slice()) {
            (op::CONDITIONAL, [condition, yes, no]) => self.conditional(node, condition, yes, no),
            (op::LOGICAL_AND, [a, b]) => Ok(Typed::Bool(Bool::And(self.both(a, b)?))),
            (op::LOGICAL_OR, [a, b]) => Ok(Typed::Bool(Bool::Or(self.both(a, b)?))),
            (op::LOGICAL_NOT, [inner]) => Ok(Typed::Bool(Bool::Not(Box::new(self.condition(inner)?)))),
            (op::EQUALS, [a, b]) => self.compare(node, Comparison::Equal, a, b),
            (op::NOT_EQUALS, [a, b]) => self.compare(node, Comparison::Unequal, a, b),
            (op::LESS, [a, b]) => self.compare(node, Comparison::Less, a, b),
            (op::LESS_EQUALS, [a, b]) => self.compare(node, Comparison::LessOrEqual, a, b),
            (op::GREATER, [a, b]) => self.compare(node, Comparison::Greater, a, b),
            (op::GREATER_EQUALS, [a, b]) => self.compare(node, Comparison::GreaterOrEqual, a, b),
            (op::ADD, [a, b]) => self.arithmetic(node, Arithmetic::Add, a, b),
            (op::SUBSTRACT, [a, b]) => self.arithmetic(node, Arithmetic::Subtract, a, b),
            (op::MULTIPLY, [a, b]) => self.arithmetic(node, Arithmetic::Multiply, a, b),
            (op::DIVIDE, [a, b]) => self.arithmetic(node, Arithmetic::Divide, a, b),
            (op::MODULO, [a, b]) => self.remainder(node, a, b),
            (op::NEGATE, [inner]) => self.negative(node, inner),
            (op::IN, [value, list]) => self.member(node, value, list),
            ("int", [inner]) => self.int_of(node, inner),
            ("double", [inner]) => self.double_of(node, inner),
            ("timestamp", [inner]) => self.time_of(inner),
            (op::INDEX, _) => self.fail(node, "[ ] is not possible: no field is a list or a map"),
            (name, arguments) => self.fail(
                node,
                format!(
                    "there is no function {name} with {} argument(s); there are int(double), double(int), timestamp(\"…\")",
                    arguments.len()
                ),
            ),
        }
    }

    fn time_of(&mut self, inner: &IdedExpr) -> Result<Typed, String> {
        let text = match &inner.expr {
            Expr::Literal(LiteralValue::String(text)) => text.inner(),
            _ => {
                return self.fail(
                    inner,
                    "timestamp() needs a text: timestamp(\"2026-11-01T00:00:00Z\")",
                );
            }
        };
        match text.parse::<Timestamp>() {
            Ok(time) => Ok(Typed::Time(Time::Constant(time))),
            Err(_) => self.fail(
                inner,
                "this is no RFC 3339 timestamp with an offset, such as \"2026-11-01T00:00:00Z\"",
            ),
        }
    }

    fn method(&mut self, node: &IdedExpr, target: &IdedExpr, call: &CallExpr) -> Result<Typed, String> {
        let part = match call.func_name.as_str() {
            "getFullYear" => Part::FullYear,
            "getMonth" => Part::Month,
            "getDate" => Part::Date,
            "getDayOfMonth" => Part::DayOfMonth,
            "getDayOfWeek" => Part::DayOfWeek,
            "getHours" => Part::Hours,
            "getMinutes" => Part::Minutes,
            "getSeconds" => Part::Seconds,
            name => {
                return self.fail(
                    node,
                    format!(
                        "there is no function .{name}(); timestamps have getFullYear, getMonth, getDate, getDayOfMonth, getDayOfWeek, getHours, getMinutes, getSeconds"
                    ),
                );
            }
        };
        match self.typed(target)? {
            Typed::Time(time) if call.args.is_empty() => Ok(Typed::Int(Int::OfTime(part, Box::new(time)))),
            Typed::Time(_) => self.fail(
                node,
                format!("{}() takes no time zone here: it is in UTC", call.func_name),
            ),
            other => self.fail(
                node,
                format!("{}() needs a timestamp, this is {}", call.func_name, other.kind()),
            ),
        }
    }
}

/// A model input and the score have 32 bits. A literal that one of them is compared with is rounded to these, so that
/// `TX_AMOUNT >= 99.99` holds for an amount of 99.99.
fn as_compared_with(value: &Double, literal: f64) -> f64 {
    match value {
        Double::Column(_) | Double::Score => f64::from(literal as f32),
        _ => literal,
    }
}
