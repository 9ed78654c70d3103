//! From the text of a condition to the syntax tree of the crate `cel`.
//!
//! The text is looked through before the parser sees it: the parser recurses, its time grows with nesting, and what it
//! says of strange characters helps nobody.

use std::thread;

use cel::{
    ParseErrors,
    common::ast::{EntryExpr, Expr, IdedExpr, SourceInfo},
    parser::Parser,
};

/// Most operations of one condition: every name, number, operator and call is one.
pub const MAX_OPERATIONS: usize = 128;
/// Deepest nesting of brackets.
const MAX_NESTING: usize = 16;
/// Deepest nesting of expressions: brackets and conditionals.
const MAX_RECURSION: u16 = 40;
/// Stack of the parser: in a build without optimisation it takes some 150 KB for each level of nesting.
const STACK: usize = 32 << 20;
/// Most names and numbers that the parser is given; a number with a decimal point counts twice.
const MAX_WORDS: usize = 2 * MAX_OPERATIONS;

/// A parsed condition.
pub struct Parsed {
    /// The tree.
    pub tree: IdedExpr,
    source: SourceInfo,
    text: String,
}

impl Parsed {
    /// `problem` at the place of the node `id`.
    pub fn at(&self, id: u64, problem: impl std::fmt::Display) -> String {
        let Some((start, _)) = self.source.offset_for(id) else {
            return problem.to_string();
        };
        let before = self.text.get(..start as usize).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.len() - before.rfind('\n').map_or(0, |end| end + 1) + 1;
        format!("line {line}, column {column}: {problem}")
    }
}

/// Parses a condition of at most 1,024 bytes, and counts what its evaluation costs.
pub fn parse(when: &str) -> Result<Parsed, String> {
    screen(when)?;
    let (tree, source) = on_a_thread(|| tree(when))?;
    let operations = operations(&tree);
    if operations > MAX_OPERATIONS {
        return Err(format!(
            "the condition has {operations} operations, more than {MAX_OPERATIONS}: split it into several rules, or put ids into a list"
        ));
    }
    Ok(Parsed {
        tree,
        source,
        text: when.to_owned(),
    })
}

fn tree(when: &str) -> Result<(IdedExpr, SourceInfo), String> {
    let parser = Parser::new()
        .max_recursion_depth(MAX_RECURSION)
        .error_recovery_limit(1);
    parser
        .parse_with_source_info(when)
        .map_err(|errors| syntax(&errors))
}

/// Runs the parser where it has the stack that it needs, whoever asks for it, and where a panic of it is an error.
fn on_a_thread<T: Send>(parse: impl FnOnce() -> Result<T, String> + Send) -> Result<T, String> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("rules".into()).stack_size(STACK);
        let thread = thread.spawn_scoped(scope, parse);
        let thread = thread.map_err(|error| format!("there is no thread to parse it on: {error}"))?;
        thread.join().unwrap_or_else(|_| {
            Err("the parser cannot cope with this condition: write it in another way".into())
        })
    })
}

fn screen(when: &str) -> Result<(), String> {
    if when.trim().is_empty() {
        return Err("the condition is empty: write one, such as TX_AMOUNT > 100.0".into());
    }
    let (mut nesting, mut words, mut in_word) = (0_usize, 0, false);
    for (index, byte) in when.bytes().enumerate() {
        match byte {
            b' '..=b'~' | b'\n' | b'\r' | b'\t' => {}
            _ => {
                let problem =
                    "is no printable ASCII character: a condition has only names, numbers and operators";
                return Err(format!("byte {} {problem}", index + 1));
            }
        }
        match byte {
            b'(' | b'[' | b'{' => nesting += 1,
            b')' | b']' | b'}' => nesting = nesting.saturating_sub(1),
            _ => {}
        }
        if nesting > MAX_NESTING {
            return Err(format!(
                "brackets are nested more than {MAX_NESTING} deep: split it into several rules"
            ));
        }
        let word = byte.is_ascii_alphanumeric() || byte == b'_';
        words += usize::from(word && !in_word);
        in_word = word;
    }
    if words > MAX_WORDS {
        return Err(format!(
            "the condition has {words} names and numbers, more than {MAX_WORDS}: split it into several rules, or put ids into a list"
        ));
    }
    Ok(())
}

/// The first thing that the parser found, without its list of what it would have liked instead.
fn syntax(errors: &ParseErrors) -> String {
    let gave_up = |message: &str| message.contains("recovery attempt");
    let told = errors
        .errors
        .iter()
        .find(|error| error.pos.0 > 0 && !gave_up(&error.msg));
    let Some(error) = told else {
        return "this is no CEL expression".into();
    };
    let text = error.msg.split(" expecting ").next().unwrap_or_default();
    let text = match text.trim_start_matches("Syntax error: ") {
        // What stops the parser's recursion comes as an error of another kind.
        other if other.starts_with("OtherError") => "it nests too deeply here: split it into several rules",
        told => told,
    };
    let (line, column) = error.pos;
    format!("line {line}, column {column}: this is no CEL expression: {text}")
}

fn operations(node: &IdedExpr) -> usize {
    let all = |nodes: &[IdedExpr]| nodes.iter().map(operations).sum::<usize>();
    1 + match &node.expr {
        Expr::Call(call) => call.target.as_deref().map_or(0, operations) + all(&call.args),
        Expr::Select(select) => operations(&select.operand),
        Expr::List(list) => all(&list.elements),
        Expr::Map(map) => map
            .entries
            .iter()
            .map(|entry| entry_operations(&entry.expr))
            .sum(),
        Expr::Struct(object) => object
            .entries
            .iter()
            .map(|entry| entry_operations(&entry.expr))
            .sum(),
        Expr::Comprehension(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => 0,
    }
}

fn entry_operations(entry: &EntryExpr) -> usize {
    match entry {
        EntryExpr::StructField(field) => operations(&field.value),
        EntryExpr::MapEntry(entry) => operations(&entry.key) + operations(&entry.value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(when: &str) -> String {
        parse(when).err().unwrap_or_else(|| panic!("{when} was parsed"))
    }

    #[test]
    fn the_place_of_a_syntax_error_is_told() {
        let error = problem("TX_AMOUNT >\n  > 100.0");
        assert!(
            error.starts_with("line 2, column 3: this is no CEL expression"),
            "{error}"
        );
        assert!(error.len() < 200, "{error}");
        for bad in [
            "1 +", "(1", "a b", "1..2", "\"open", "a ? b", "@", "if", "[1, 2", "a.b.", "0x", "1e",
        ] {
            let error = problem(bad);
            assert!(error.starts_with("line 1, column"), "{bad}: {error}");
        }
        let deep = problem(&("a?b:".repeat(60) + "c"));
        assert!(deep.contains("it nests too deeply here: split it"), "{deep}");
    }

    #[test]
    fn what_the_parser_should_not_see_is_refused_before() {
        assert!(problem(" \n").contains("empty"));
        assert!(problem("TX_AMOUNT > 1\u{a0}").contains("byte 14"));
        assert!(problem(&"(".repeat(17)).contains("more than 16 deep"));
        assert!(problem(&"1+".repeat(400)).contains("400 names and numbers"));
        assert!(parse(&format!("{}1{}", "(".repeat(16), ")".repeat(16))).is_ok());
    }

    #[test]
    fn operations_are_counted() {
        for (when, count) in [
            ("TX_AMOUNT", 1),
            ("TX_AMOUNT > 100.0", 3),
            ("CUSTOMER_ID in lists.blocked", 4),
            ("CUSTOMER_ID in [1, 2, 3]", 6),
            ("!(a && b) ? c : d", 7),
        ] {
            assert_eq!(operations(&parse(when).unwrap().tree), count, "{when}");
        }
        let long = vec!["1"; 65].join("+");
        assert!(problem(&long).contains("129 operations"), "{}", problem(&long));
        assert!(parse(&vec!["1"; 64].join("+")).is_ok());
    }
}
