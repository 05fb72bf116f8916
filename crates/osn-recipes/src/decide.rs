//! What decides in a run, a rule by its name or the rules in a file, and what it sees weights as.

use std::path::Path;

use osn_core::decide::{Rule, RuleError, Rules};
use osn_core::layer::{Layer, View};
use osn_runs::rules_file::read_rules;
use serde_json::Value;

use crate::run::error::RunError;
use crate::run::recipe_doc::RecipeDoc;

/// What parts the rules from the view.
const SEEN_AS: char = '@';

/// Rules, and what a run under them is called.
#[derive(Clone, Debug, PartialEq)]
pub struct Decide {
    /// What decides.
    pub rules: Rules,
    /// What every weight is seen as; the library's default where there is none.
    pub view: Option<View>,
    /// The text of the rule, or the name of the file without its extension, and that of the view.
    pub name: String,
}

impl Decide {
    /// Finds what a word names: a rule with its parameters, or else a file, which ends in `.toml` or is
    /// there; behind an `@` what weights are seen as, as in `always@bidirectional`.
    ///
    /// # Errors
    ///
    /// [`RunError`], with what is wrong and what would be valid.
    pub fn named(word: &str) -> Result<Self, RunError> {
        match word.rsplit_once(SEEN_AS) {
            Some((rules, view)) if !Path::new(word).is_file() => {
                Self::without_view(rules)?.seen_as(view)
            }
            _ => Self::without_view(word),
        }
    }

    /// Refuses rules that need a score or a signal that the recipe does not provide.
    ///
    /// # Errors
    ///
    /// [`RunError::UnknownName`], with the scores that there are; [`RunError::UnmetNeed`], with rules whose
    /// needs are met.
    pub(crate) fn must_go_with(&self, recipe: &RecipeDoc) -> Result<(), RunError> {
        if let Some(metric) = self.rules.unknown_metric(recipe.metrics) {
            return Err(RunError::unknown_name("metric", metric, recipe.metrics));
        }
        match self.rules.unmet_need(recipe.offers) {
            Some((rule, what)) => Err(RunError::UnmetNeed {
                rule: rule.label(),
                what,
                recipe: recipe.name,
                others: recipe.decides,
            }),
            None => Ok(()),
        }
    }

    /// Refuses a rule that can have no effect in a run of this config: one that acts only after the last step,
    /// or that follows a score which comes too late. A step has `n_dis` optimizer steps of the network that has
    /// most of them.
    ///
    /// # Errors
    ///
    /// [`RunError::Rule`], with the rule and the steps.
    pub(crate) fn must_act_within(&self, config: &Value) -> Result<(), RunError> {
        let number = |name: &str| config.get(name).and_then(Value::as_u64);
        let (Some(steps), Some(eval_every)) = (number("steps"), number("eval_every")) else {
            return Ok(());
        };
        let updates = number("n_dis").unwrap_or(1);
        let [steps, every] = [steps, eval_every].map(|count| count.saturating_mul(updates));
        match self.rules.out_of_reach(steps, every) {
            None => Ok(()),
            Some((rule, why)) => Err(RunError::Rule {
                text: self.name.clone(),
                source: RuleError::OutOfReach { rule: rule.label(), why },
            }),
        }
    }

    /// Refuses a view in which none of these layers looks different than without it.
    ///
    /// # Errors
    ///
    /// [`RunError::ViewWithoutEffect`].
    pub(crate) fn must_see<'a>(
        &self,
        layers: impl IntoIterator<Item = &'a Layer>,
    ) -> Result<(), RunError> {
        let is_of_kernels =
            matches!(self.view, Some(View::Matrix | View::Reshaped | View::Bidirectional));
        if is_of_kernels && layers.into_iter().all(|layer| layer.shape.len() <= 2) {
            return Err(RunError::ViewWithoutEffect { text: self.name.clone() });
        }
        Ok(())
    }

    fn without_view(word: &str) -> Result<Self, RunError> {
        let path = Path::new(word);
        let is_toml = path.extension().is_some_and(|it| it.eq_ignore_ascii_case("toml"));
        match Rule::parse(word) {
            Ok(rule) => Ok(Self { name: rule.label(), view: None, rules: Rules::from(rule) }),
            Err(_) if is_toml || path.is_file() => Self::in_file(path),
            Err(source) => Err(RunError::Rule { text: word.to_owned(), source }),
        }
    }

    fn seen_as(self, word: &str) -> Result<Self, RunError> {
        let view: View = word
            .parse()
            .map_err(|source| RunError::View { text: format!("{}@{word}", self.name), source })?;
        let name = format!("{}{SEEN_AS}{view}", self.name);
        Ok(Self { name, view: Some(view), ..self })
    }

    /// The part that is for one of a recipe's `networks`.
    ///
    /// # Errors
    ///
    /// [`RunError::Rule`] if a rule is for none of the networks, or none for this one.
    pub(crate) fn for_network(&self, network: &str, networks: &[&str]) -> Result<Self, RunError> {
        let part = self.rules.for_network(network, networks);
        let rules = part.map_err(|source| RunError::Rule { text: self.name.clone(), source })?;
        Ok(Self { rules, ..self.clone() })
    }

    /// Reads a rules file.
    ///
    /// # Errors
    ///
    /// [`RunError`], with the line that is wrong.
    fn in_file(path: &Path) -> Result<Self, RunError> {
        let rules = read_rules(path)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { rules, view: None, name })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use osn_runs::rules_file::RulesError;

    use super::*;

    #[test]
    fn a_word_is_a_rule_before_it_is_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cap");
        fs::write(&file, "[[rule]]\nrule = \"never\"").unwrap();
        let by_path = Decide::named(file.to_str().unwrap()).unwrap();
        assert_eq!((by_path.name.as_str(), by_path.rules.label().as_str()), ("cap", "never"));
        assert_eq!(Decide::named("cap:target=2").unwrap().name, "cap:target=2");
        assert_eq!(Decide::named("cap").unwrap().rules.label(), "cap");
    }

    #[test]
    fn a_view_stands_behind_the_rule() {
        let seen = Decide::named("always:target=2@bidirectional").unwrap();
        assert_eq!(
            (seen.rules.label().as_str(), seen.view),
            ("always:target=2", Some(View::Bidirectional))
        );
        assert_eq!(seen.name, "always:target=2@bidirectional");
        assert_eq!(Decide::named("always").unwrap().view, None);
        let error = Decide::named("always@sideways").unwrap_err();
        assert!(
            matches!(&error, RunError::View { text, .. } if text == "always@sideways"),
            "{error}"
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a@b");
        fs::write(&file, "[[rule]]\nrule = \"never\"").unwrap();
        assert_eq!(Decide::named(file.to_str().unwrap()).unwrap().view, None);
    }

    #[test]
    fn what_is_neither_is_an_unknown_rule_and_a_missing_file_is_missing() {
        let rule = Decide::named("perhaps").unwrap_err();
        assert!(matches!(&rule, RunError::Rule { text, .. } if text == "perhaps"), "{rule}");
        let file = Decide::named("no/such.toml").unwrap_err();
        assert!(
            matches!(file, RunError::RulesFile(RulesError::Unreadable { .. }))
                && file.is_bad_input(),
            "{file}"
        );
    }
}
