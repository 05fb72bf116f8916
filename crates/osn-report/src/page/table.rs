//! Tables, in the one form that the page has for them.

use maud::{Markup, Render, html};

/// A table that scrolls where it is wider than the page: the cells of its head, and those of each row.
pub(super) fn table(head: &Markup, rows: impl IntoIterator<Item = Markup>) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { (head) } }
            tbody { @for row in rows { tr { (row) } } }
        } }
    }
}

/// Titles of columns of words.
pub(super) fn words(titles: impl IntoIterator<Item = impl Render>) -> Markup {
    html! { @for title in titles { th scope="col" { (title) } } }
}

/// Titles of columns of numbers.
pub(super) fn numbers(titles: impl IntoIterator<Item = impl Render>) -> Markup {
    html! { @for title in titles { th.n scope="col" { (title) } } }
}

/// Some values of a chart, folded: a number to begin each row with, and one for each of the names.
pub(super) fn values(
    title: &str,
    first: &str,
    names: &[&str],
    rows: impl IntoIterator<Item = (String, Vec<String>)>,
) -> Markup {
    let head = html! { (numbers([first])) (numbers(names)) };
    let rows = rows.into_iter().map(|(first, values)| {
        html! { th.n scope="row" { (first) } @for value in values { td.n { (value) } } }
    });
    html! {
        details.values {
            summary { "Some values" span.unseen { " of " (title) } }
            (table(&head, rows))
        }
    }
}
