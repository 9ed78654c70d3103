//! `in`: lists by name, and literal ones.

use std::sync::Arc;

use cel::common::ast::{Expr, IdedExpr, LiteralValue, SelectExpr};

use super::{Lowering, Typed, as_compared_with};
use crate::rules::{
    fields::LISTS,
    lists::List,
    program::{Bool, Double},
};

impl Lowering<'_> {
    pub(super) fn member(
        &mut self,
        node: &IdedExpr,
        value: &IdedExpr,
        list: &IdedExpr,
    ) -> Result<Typed, String> {
        let value = self.typed(value)?;
        let member = match &list.expr {
            Expr::Select(select) if is_lists(select) => match value {
                Typed::Int(value) => Bool::Listed(Box::new(value), self.list(list, &select.field)?),
                other => {
                    return self.fail(
                        node,
                        format!(
                            "lists hold ints, such as CUSTOMER_ID and TERMINAL_ID; this is {}",
                            other.kind()
                        ),
                    );
                }
            },
            Expr::List(all) => match value {
                Typed::Int(value) => Bool::OneOfInts(Box::new(value), self.ints(&all.elements)?),
                Typed::Double(value) => {
                    let all = self.doubles(&all.elements, &value)?;
                    Bool::OneOfDoubles(Box::new(value), all)
                }
                other => return self.fail(node, format!("`in` needs a number, this is {}", other.kind())),
            },
            _ => {
                return self.fail(
                    node,
                    "to the right of `in` stands lists.<name>, or a list of numbers: [1, 2, 3]",
                );
            }
        };
        Ok(Typed::Bool(member))
    }

    fn list(&self, node: &IdedExpr, name: &str) -> Result<Arc<List>, String> {
        match self.lists.get(name) {
            Some(list) => Ok(list),
            None => {
                let known = self.lists.names().collect::<Vec<_>>().join(", ");
                let known = if known.is_empty() { "none".into() } else { known };
                self.fail(
                    node,
                    format!("there is no list {name} in spec.lists; there are: {known}"),
                )
            }
        }
    }

    fn ints(&self, elements: &[IdedExpr]) -> Result<Box<[i64]>, String> {
        let int = |element: &IdedExpr| match &element.expr {
            Expr::Literal(LiteralValue::Int(value)) => Ok(*value.inner()),
            _ => self.fail(
                element,
                "an int is looked for, so the list must hold int literals: [1, 2, 3]",
            ),
        };
        let mut all = elements.iter().map(int).collect::<Result<Vec<_>, _>>()?;
        all.sort_unstable();
        Ok(all.into())
    }

    fn doubles(&self, elements: &[IdedExpr], value: &Double) -> Result<Box<[f64]>, String> {
        let number = |element: &IdedExpr| match &element.expr {
            Expr::Literal(LiteralValue::Int(number)) => Ok(*number.inner() as f64),
            Expr::Literal(LiteralValue::Double(number)) => Ok(*number.inner()),
            _ => self.fail(element, "the list must hold number literals: [1.5, 2.0]"),
        };
        let number = |element| number(element).map(|number| as_compared_with(value, number));
        elements.iter().map(number).collect()
    }
}

fn is_lists(select: &SelectExpr) -> bool {
    !select.test && matches!(&select.operand.expr, Expr::Ident(name) if name == LISTS)
}
