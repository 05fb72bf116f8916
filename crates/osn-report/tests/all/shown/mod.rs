//! What a reader sees of a page, and what a file may put into it.

use osn_report::{RunRecord, page};

/// A name that does harm wherever it becomes markup.
pub(crate) const HOSTILE: &str =
    r#"</title></script><script>alert(1)</script>"onload='x' & <img src=x>"#;

const DATA: &str = "<script type=\"application/json\">";

/// The page of one run.
pub(crate) fn page_of(run_json: &str, record_jsonl: &str) -> String {
    page(&[RunRecord::read(run_json, record_jsonl, Vec::new()).unwrap()])
}

/// A part of a page without its scripts, data included.
pub(crate) fn without_scripts(part: &str) -> String {
    let mut parts = part.split("<script");
    let first = parts.next().into_iter();
    first.chain(parts.map(|part| part.split_once("</script>").unwrap().1)).collect()
}

/// Each text between two tags.
pub(crate) fn texts(part: &str) -> Vec<String> {
    let shown = without_scripts(part);
    let texts = shown.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    let plain = |text: &str| {
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
    };
    texts.map(plain).collect()
}

/// All text.
pub(crate) fn text(part: &str) -> String {
    texts(part).concat()
}

/// Nothing from a file has become markup or a script, and nothing is fetched.
pub(crate) fn assert_harmless(page: &str) {
    let shown = without_scripts(page);
    for markup in ["<img src=x", "\"onload", "\" onload", "</title></script>"] {
        assert!(!shown.contains(markup), "{markup}");
    }
    // A policy that forbids inline styles makes every such attribute an error in the console.
    let outside = [" style=\"", "http:", "https:", "src=\"/", "src=\"h", "@import", "url("];
    let addresses = page.replace("https://github.com/leeoniya/uPlot (v1.6.32)", "");
    for start in outside {
        assert!(!addresses.contains(start), "{start}");
    }
    // The charting library and the page's own script, and data: none of it ends where a file wants.
    let n_scripts = 2 + page.matches(DATA).count();
    assert_eq!(page.matches("<script").count(), n_scripts);
    assert_eq!(page.matches("</script").count(), n_scripts);
}
