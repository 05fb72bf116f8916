//! Long records in bounded memory: neighbours are joined as more of them come.

/// What can be joined with its later neighbour.
pub(crate) trait Join {
    /// Takes in what came next.
    fn join(&mut self, later: Self);
}

/// Items in order, at most `MAX` of them: once they are too many, each two neighbours become one, and from
/// then on each new item joins as many others. `MAX` is even, so that all items have a neighbour.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Downsampled<T, const MAX: usize> {
    items: Vec<T>,
    /// How many pushed ones an item stands for, but for the last.
    n_joined: usize,
    n_in_last: usize,
}

impl<T, const MAX: usize> Default for Downsampled<T, MAX> {
    fn default() -> Self {
        const { assert!(MAX > 0 && MAX.is_multiple_of(2)) };
        Self { items: Vec::new(), n_joined: 1, n_in_last: 0 }
    }
}

impl<T: Join, const MAX: usize> Downsampled<T, MAX> {
    /// Adds what came next.
    pub(crate) fn push(&mut self, item: T) {
        match self.items.last_mut() {
            Some(last) if self.n_in_last < self.n_joined => {
                last.join(item);
                self.n_in_last += 1;
            }
            _ => {
                if self.items.len() == MAX {
                    self.halve();
                }
                self.items.push(item);
                self.n_in_last = 1;
            }
        }
    }

    /// The same with at most `max_items` items.
    pub(crate) fn downsampled_to(mut self, max_items: usize) -> Self {
        while self.items.len() > max_items.max(1) {
            self.halve();
        }
        self
    }

    /// Called by `push` when every item is full, and by `downsampled_to` after the last push.
    fn halve(&mut self) {
        let mut later = std::mem::take(&mut self.items).into_iter();
        while let Some(mut item) = later.next() {
            if let Some(neighbour) = later.next() {
                item.join(neighbour);
            }
            self.items.push(item);
        }
        self.n_joined *= 2;
        self.n_in_last = self.n_joined;
    }

    /// The items, in order.
    pub(crate) fn items(&self) -> &[T] {
        &self.items
    }

    /// The last item.
    pub(crate) fn last_mut(&mut self) -> Option<&mut T> {
        self.items.last_mut()
    }

    /// How many pushed ones an item stands for.
    pub(crate) fn n_joined(&self) -> usize {
        self.n_joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run of whole numbers.
    #[derive(Clone, Copy, Debug, PartialEq)]
    struct Run(usize, usize);

    impl Join for Run {
        fn join(&mut self, later: Self) {
            assert_eq!(self.1, later.0, "not neighbours");
            self.1 = later.1;
        }
    }

    fn filled(n: usize) -> Downsampled<Run, 8> {
        let mut downsampled = Downsampled::default();
        (0..n).for_each(|index| downsampled.push(Run(index, index + 1)));
        downsampled
    }

    #[test]
    fn nothing_is_lost_and_no_list_grows_past_its_limit() {
        for n in [0, 1, 7, 8, 9, 16, 17, 100, 1000, 1025] {
            let downsampled = filled(n);
            let items = downsampled.items();
            assert!(items.len() <= 8 && items.len() >= n.min(5), "{n}: {}", items.len());
            assert_eq!(items.last().map_or(0, |last| last.1), n);
            assert!(items.windows(2).all(|pair| pair[0].1 == pair[1].0));
            let widths = items.iter().map(|run| run.1 - run.0);
            assert!(widths.rev().skip(1).all(|width| width == downsampled.n_joined()));
        }
    }

    #[test]
    fn a_list_is_downsampled_further_on_request() {
        let downsampled = filled(8).downsampled_to(3);
        assert_eq!(downsampled.items(), [Run(0, 4), Run(4, 8)]);
        assert_eq!(downsampled.n_joined(), 4);
    }
}
