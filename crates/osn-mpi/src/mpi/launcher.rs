//! What the launcher says of how many processes it started.

/// How many processes each launcher says that there are, and which one this is: Open MPI's `mpirun`, MPICH's, and Slurm's
/// `srun`.
const SAID: [[&str; 2]; 3] = [
    ["OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"],
    ["PMI_SIZE", "PMI_RANK"],
    ["SLURM_STEP_NUM_TASKS", "SLURM_PROCID"],
];

/// The number of processes, and that of this one, by the first launcher in `variable` that says so.
pub(crate) fn started(variable: impl Fn(&str) -> Option<String>) -> Option<[i32; 2]> {
    let number = |name: &str| variable(name)?.trim().parse().ok();
    SAID.iter().find_map(|[count, rank]| Some([number(count)?, number(rank).unwrap_or(0)]))
}

/// Why a world of `size` is not the one that the launcher started, where it is not.
pub(crate) fn mismatch(started: i32, size: i32) -> Option<String> {
    (started != size).then(|| {
        format!(
            "the launcher started {started} processes and MPI sees {size}: start with the mpirun of the MPI that this program was built with"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Option<[i32; 2]> {
        started(|name| {
            pairs.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_nearest_launcher_says_how_many_there_are() {
        assert_eq!(of(&[]), None, "a program that is started by itself is a world of one");
        assert_eq!(of(&[("PMI_SIZE", "3"), ("PMI_RANK", "2")]), Some([3, 2]));
        let nested = [("SLURM_STEP_NUM_TASKS", "1"), ("OMPI_COMM_WORLD_SIZE", "4")];
        assert_eq!(of(&nested), Some([4, 0]));
        assert_eq!(of(&[("PMI_SIZE", "many")]), None);
    }

    #[test]
    fn a_world_of_one_in_a_launch_of_three_is_refused() {
        assert_eq!(mismatch(3, 3), None);
        assert!(mismatch(3, 1).is_some());
    }
}
