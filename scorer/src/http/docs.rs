//! `/docs`: one page for people, without anything from elsewhere.

use std::fmt::Write as _;

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{
    answer::{self, Answer},
    contract::{Contract, FieldFacts},
};
use crate::access::Demands;

const TEMPLATE: &str = include_str!("docs.html");

/// Nothing is loaded, and the page talks to nobody but this server.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Where a token is asked for. It stays in the page.
const TOKEN: &str = "<label for=\"token\">Token with the scope <code>predict</code></label>\n\
    <input id=\"token\" type=\"password\" autocomplete=\"off\" spellcheck=\"false\">\n";

/// The page of a model, or of a server without one.
pub fn page(contract: &Contract, demands: Demands) -> Answer {
    let mut answer = answer::json(StatusCode::OK, html(contract, demands));
    let headers = answer.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn html(contract: &Contract, demands: Demands) -> String {
    let model = match (&contract.model, contract.thresholds) {
        (Some((name, version)), Some((review, block))) => format!(
            "Model <b>{}</b>, version <b>{}</b>: review from {review}, block from {block}.",
            escape(name),
            escape(version)
        ),
        _ => "No model is ready yet: <a href=\"readyz\">readyz</a> says why.".to_owned(),
    };
    let rows: String = contract.fields.iter().map(row).collect();
    let transaction = serde_json::to_string_pretty(&contract.median_transaction()).unwrap_or_default();
    TEMPLATE
        .replace("{{model}}", &model)
        .replace("{{fields}}", &rows)
        .replace("{{token}}", if demands.tokens { TOKEN } else { "" })
        .replace("{{transaction}}", &escape(&transaction))
}

fn row(field: &FieldFacts) -> String {
    let mut row = format!(
        "<tr><td><code>{}</code><td>{}",
        escape(&field.name),
        field.type_in_words()
    );
    match field.column {
        Some(column) => {
            let _ = write!(row, "<td>{}", column + 1);
        }
        None => row.push_str("<td>"),
    }
    match field.training {
        Some(seen) => {
            let _ = writeln!(row, "<td>{} to {}<td>{}", seen.min, seen.max, seen.median);
        }
        None => row.push_str("<td><td>\n"),
    }
    row
}

/// Text as HTML; also fit for attributes in double quotes.
fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{features::Schema, http::contract::tests::card};

    fn html(contract: &Contract) -> String {
        super::html(contract, Demands::default())
    }

    #[test]
    fn a_token_can_be_given_where_one_is_asked_for() {
        let contract = Contract::new(&Schema::card_payment(), None);
        assert!(!html(&contract).contains("id=\"token\""));
        let demands = Demands {
            tokens: true,
            rate: false,
        };
        let page = super::html(&contract, demands);
        assert!(page.contains("<input id=\"token\" type=\"password\""));
        assert!(!page.contains("{{"), "a placeholder is left");
    }

    #[test]
    fn the_page_lists_all_fields_with_what_training_saw_and_loads_nothing() {
        let page = html(&Contract::new(&Schema::card_payment(), Some(&card())));
        for field in Schema::card_payment().fields() {
            assert!(
                page.contains(&format!("<tr><td><code>{}</code>", field.name)),
                "{}",
                field.name
            );
        }
        assert!(page.contains("<td>0.5 to 961.25<td>44.5"));
        assert!(page.contains("&quot;TX_AMOUNT&quot;: 44.5"));
        assert!(!page.contains("{{"), "a placeholder is left");
        for elsewhere in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!page.contains(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn a_models_name_cannot_become_markup() {
        let mut card = card();
        card.name = "<script>alert(\"1\")</script>".into();
        let page = html(&Contract::new(&Schema::card_payment(), Some(&card)));
        assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)"));
        assert!(!page.contains("<script>alert"));
    }

    #[test]
    fn without_a_model_the_page_says_so() {
        assert!(html(&Contract::new(&Schema::card_payment(), None)).contains("No model is ready"));
    }
}
