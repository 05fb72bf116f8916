//! What was done to a layer when, as many segments as a screen can show.

use osn_core::act::Action;

use super::columns::overlaps;
use super::downsampled::{Downsampled, Join};
use crate::record::types::LoggedDecision;

/// Segments that a layer's history is kept in.
const MAX_SEGMENTS: usize = 240;

/// What was done to one layer, from a step until the next segment's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Segment {
    /// The first step that it stands for.
    pub(crate) step: u64,
    /// The mean elasticity, from 0 to 1; NaN where none was finite.
    pub(crate) elasticity: f64,
    n_elasticities: u64,
    /// The last action.
    pub(crate) action: String,
    /// The last action that was not `off`.
    pub(crate) held_by: Option<String>,
    /// The last reason.
    pub(crate) reason: String,
    /// How often what is done was changed.
    pub(crate) n_changes: u64,
    /// The last change to another action or, where there was none, the last to other numbers.
    pub(crate) change: Option<LoggedDecision>,
}

/// The segments of one layer, in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TimelineSegments {
    segments: Downsampled<Segment, MAX_SEGMENTS>,
    /// Changes since the last segment.
    waiting: Vec<LoggedDecision>,
}

impl TimelineSegments {
    /// Adds a segment. Changes before its step belong to the segment before.
    pub(crate) fn push(&mut self, mut segment: Segment) {
        for change in std::mem::take(&mut self.waiting) {
            match self.segments.last_mut() {
                Some(before) if change.step < segment.step => before.take(change),
                _ => segment.take(change),
            }
        }
        self.segments.push(segment);
    }

    /// Notes a change of what is done.
    pub(crate) fn change(&mut self, change: LoggedDecision) {
        self.waiting.push(change);
    }

    /// Hands changes after the last segment to that segment: nothing comes after it.
    pub(crate) fn finish(&mut self) {
        if let Some(last) = self.segments.last_mut() {
            for change in std::mem::take(&mut self.waiting) {
                last.take(change);
            }
        }
    }

    /// At most `max_segments`, where neighbours that say the same are one.
    pub(crate) fn shown(&self, max_segments: usize) -> Vec<Segment> {
        self.joined_where(max_segments, Segment::says_the_same)
    }

    /// At most `max_segments`, where neighbours that do the same are one, with the last of their reasons.
    pub(crate) fn shown_by_action(&self, max_segments: usize) -> Vec<Segment> {
        self.joined_where(max_segments, Segment::does_the_same)
    }

    fn joined_where(
        &self,
        max_segments: usize,
        are_one: impl Fn(&Segment, &Segment) -> bool,
    ) -> Vec<Segment> {
        let mut shown: Vec<Segment> = Vec::new();
        for segment in self.segments.clone().downsampled_to(max_segments).items() {
            match shown.last_mut() {
                Some(before) if are_one(before, segment) => before.join(segment.clone()),
                _ => shown.push(segment.clone()),
            }
        }
        shown
    }

    /// The elasticity and the changes in each of so many equal parts of a run.
    pub(crate) fn columns(&self, n_columns: usize, last_step: u64) -> Vec<Column> {
        let segments = self.segments.items();
        let steps: Vec<_> = segments.iter().map(|segment| segment.step).collect();
        let mut columns = vec![Column::default(); n_columns];
        let mut weights = vec![0.0; n_columns];
        let mut seen = None;
        for overlap in overlaps(&steps, last_step, n_columns) {
            let (segment, column) = (&segments[overlap.item], &mut columns[overlap.column]);
            if segment.elasticity.is_finite() {
                column.elasticity += overlap.weight * segment.elasticity;
                weights[overlap.column] += overlap.weight;
            }
            if seen.replace(overlap.item) != Some(overlap.item) {
                column.n_changes += segment.n_changes;
            }
        }
        for (column, weight) in columns.iter_mut().zip(weights) {
            column.elasticity = if weight > 0.0 { column.elasticity / weight } else { 0.0 };
        }
        columns
    }
}

/// What was done to a layer in one of the equal parts of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Column {
    /// The mean elasticity, from 0 to 1; 0 where none is known.
    pub(crate) elasticity: f64,
    /// How often what is done was changed.
    pub(crate) n_changes: u64,
}

impl Column {
    /// Whether the layer was held rather than left alone.
    pub(crate) fn is_held(self) -> bool {
        self.elasticity >= 0.5
    }
}

impl Segment {
    /// One segment as it was logged.
    pub(crate) fn new(step: u64, elasticity: f64, action: &str, reason: &str) -> Self {
        Self {
            step,
            elasticity,
            n_elasticities: u64::from(elasticity.is_finite()),
            action: action.to_owned(),
            held_by: (!Action::leaves_sigma_free(action)).then(|| action.to_owned()),
            reason: reason.to_owned(),
            n_changes: 0,
            change: None,
        }
    }

    fn take(&mut self, change: LoggedDecision) {
        self.n_changes += 1;
        self.prefer(Some(change));
    }

    /// Keeps the later of two changes, but never drops a switch for one that is none.
    fn prefer(&mut self, later: Option<LoggedDecision>) {
        let is_switch = |change: &Option<LoggedDecision>| {
            change.as_ref().is_some_and(LoggedDecision::is_switch)
        };
        if later.is_some() && (is_switch(&later) || !is_switch(&self.change)) {
            self.change = later;
        }
    }

    fn says_the_same(&self, later: &Self) -> bool {
        self.n_changes == 0 && self.does_the_same(later) && self.reason == later.reason
    }

    fn does_the_same(&self, later: &Self) -> bool {
        let is_as_elastic = (self.elasticity - later.elasticity).abs() < 0.005;
        is_as_elastic && later.n_changes == 0 && self.action == later.action
    }
}

impl Join for Segment {
    fn join(&mut self, later: Self) {
        let n_elasticities = self.n_elasticities + later.n_elasticities;
        let sum = |segment: &Self| match segment.n_elasticities {
            0 => 0.0,
            n => segment.elasticity * n as f64,
        };
        if n_elasticities > 0 {
            self.elasticity = (sum(self) + sum(&later)) / n_elasticities as f64;
        }
        self.n_elasticities = n_elasticities;
        self.action = later.action;
        self.held_by = later.held_by.or(self.held_by.take());
        self.reason = later.reason;
        self.n_changes += later.n_changes;
        self.prefer(later.change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(step: u64) -> LoggedDecision {
        let [network, path, from, to, reason] = ["d", "a", "off", "cap", "why"].map(str::to_owned);
        LoggedDecision { step, network, path, from, to, reason }
    }

    #[test]
    fn a_layer_that_was_let_go_is_not_held() {
        let held_by = |action| Segment::new(0, 0.0, action, "").held_by;
        assert_eq!(["off", "keep"].map(held_by), [None, None]);
        assert_eq!(held_by("normalize").as_deref(), Some("normalize"));
    }

    #[test]
    fn equal_neighbours_are_one_and_a_change_parts_them() {
        let mut segments = TimelineSegments::default();
        for step in 1..=4 {
            if step == 3 {
                segments.change(change(3));
            }
            segments.push(Segment::new(step * 10, 1.0, "cap", "same"));
        }
        // Step 3 lies before the segment at step 30, in the one that began at step 20.
        let shown = segments.shown(100);
        let steps: Vec<_> = shown.iter().map(|segment| (segment.step, segment.n_changes)).collect();
        assert_eq!(steps, [(10, 0), (20, 1), (30, 0)]);
    }

    #[test]
    fn a_change_at_a_logged_step_belongs_to_that_step() {
        let mut segments = TimelineSegments::default();
        segments.push(Segment::new(10, 0.0, "off", "low"));
        segments.change(change(20));
        segments.push(Segment::new(20, 1.0, "cap", "high"));
        segments.change(change(25));
        segments.finish();
        let changes: Vec<_> = segments.shown(100).iter().map(|segment| segment.n_changes).collect();
        assert_eq!(changes, [0, 2]);
    }

    #[test]
    fn joined_segments_have_the_mean_elasticity_and_count_every_change() {
        let mut segments = TimelineSegments::default();
        for step in 0..10_000 {
            let (elasticity, action) = if step % 4 == 0 { (1.0, "cap") } else { (0.0, "off") };
            segments.change(change(step));
            segments.push(Segment::new(step, elasticity, action, &step.to_string()));
        }
        let shown = segments.shown(100);
        assert!(shown.len() <= 100 && shown.len() > 25, "{}", shown.len());
        assert_eq!(shown.iter().map(|segment| segment.n_changes).sum::<u64>(), 10_000);
        assert!(shown.iter().all(|segment| (segment.elasticity - 0.25).abs() < 1e-12));
        assert!(shown.iter().all(|segment| segment.held_by.as_deref() == Some("cap")));
        assert_eq!(shown[shown.len() - 1].reason, "9999");
    }

    #[test]
    fn equal_parts_have_the_mean_elasticity_and_every_change() {
        let mut segments = TimelineSegments::default();
        segments.push(Segment::new(10, 0.0, "off", ""));
        segments.change(change(50));
        segments.push(Segment::new(50, 1.0, "cap", ""));
        segments.push(Segment::new(70, f64::NAN, "cap", ""));
        segments.change(change(95));
        segments.finish();
        let columns = segments.columns(4, 100);
        assert_eq!(
            columns.iter().map(|column| column.elasticity).collect::<Vec<_>>(),
            [0.0, 0.0, 1.0, 0.0]
        );
        assert_eq!(columns.iter().map(|column| column.n_changes).collect::<Vec<_>>(), [0, 0, 2, 0]);
        let halves = segments.columns(1, 100)[0].elasticity;
        assert!((halves - 20.0 / 70.0).abs() < 1e-12, "{halves}");
    }

    #[test]
    fn a_switch_is_not_hidden_by_later_numbers() {
        let mut segment = Segment::new(1, 1.0, "cap", "");
        segment.take(change(1));
        for to in ["cap at 2", "cap at 3"] {
            segment.take(LoggedDecision { from: "cap at 1".into(), to: to.into(), ..change(2) });
        }
        assert_eq!((segment.n_changes, segment.change.unwrap().step), (3, 1));
    }

    #[test]
    fn an_elasticity_that_is_not_finite_spoils_no_mean() {
        let mut segment = Segment::new(1, f64::NAN, "cap", "");
        assert!(segment.elasticity.is_nan());
        segment.join(Segment::new(2, 0.5, "cap", ""));
        assert_eq!(segment.elasticity, 0.5);
        segment.join(Segment::new(3, f64::NAN, "cap", ""));
        assert_eq!(segment.elasticity, 0.5);
    }
}
