//! `--engine print`: the commands with which schedulers run what is missing.

use super::cell_line;
use super::slurm::{LONGEST_NOTICE, array_options};
use crate::command_line::shell::quoted;
use crate::failure::Failure;
use crate::training::args::CompareArgs;
use crate::training::compare::cells_file::{Share, ranges};

/// How often HyperQueue and Kubernetes start a run again whose machine was lost.
const TRIES: u32 = 5;

/// The commands for every plan that has missing runs.
pub(in crate::training::compare) fn commands(
    args: &CompareArgs,
    shares: &[Share],
) -> Result<String, Failure> {
    let parts: Vec<_> = shares.iter().map(|share| of(args, share)).collect::<Result<_, _>>()?;
    Ok(parts.join("\n"))
}

fn of(args: &CompareArgs, share: &Share) -> Result<String, Failure> {
    let parts = [
        slurm(args, share)?,
        hyper_queue(args, share)?,
        gnu_parallel(args, share)?,
        kubernetes(args, share)?,
    ];
    let (id, n_missing) = (&share.file.id, share.missing.len());
    Ok(format!("# {n_missing} runs of plan {id}, by any one of these:\n\n{}", parts.join("\n")))
}

fn slurm(args: &CompareArgs, share: &Share) -> Result<String, Failure> {
    let line = cell_line(args, &share.file, "")?;
    let options = array_options(&share.file, &ranges(&share.missing)).join(" ");
    let threads = share.file.head.threads;
    let script = format!(
        "srun --ntasks=1 --cpus-per-task={threads} {line}; code=$?; [ $code != 75 ] || scontrol requeue \
         ${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID; exit $code"
    );
    let wrapped = quoted(&script);
    Ok(format!(
        "# Slurm (one array; --engine slurm also cuts long ones and watches them). Put --time={LONGEST_NOTICE} or more \
         before --wrap.\nsbatch {options} --wrap {wrapped}\n"
    ))
}

fn hyper_queue(args: &CompareArgs, share: &Share) -> Result<String, Failure> {
    let line = cell_line(args, &share.file, "")?;
    let (cells, threads) = (ranges(&share.missing), share.file.head.threads);
    Ok(format!(
        "# HyperQueue\nhq submit --array={cells} --cpus={threads} --crash-limit={TRIES} -- {line}\n"
    ))
}

fn gnu_parallel(args: &CompareArgs, share: &Share) -> Result<String, Failure> {
    let line = cell_line(args, &share.file, "{}")?;
    let cells = share.missing.iter().map(usize::to_string).collect::<Vec<_>>().join(" ");
    Ok(format!(
        "# GNU parallel: two runs at a time here; with -S 2/h1,2/h2 --wd . on hosts that share this folder\n\
         parallel --jobs 2 --retries {TRIES} {} ::: {cells}\n",
        quoted(&line)
    ))
}

/// An indexed job counts from 0 to the end: runs that are not missing end at once.
fn kubernetes(args: &CompareArgs, share: &Share) -> Result<String, Failure> {
    let line = cell_line(args, &share.file, "")?;
    let (id, threads, n_cells) = (&share.file.id, share.file.head.threads, share.file.cells.len());
    let script = serde_json::to_string(&line).map_err(Failure::failed)?;
    let folder = std::env::current_dir().map_err(Failure::failed)?;
    let folder = serde_json::to_string(&folder).map_err(Failure::failed)?;
    Ok(format!(
        r"# Kubernetes 1.29 or newer: put your image and your volume in the place of IMAGE and CLAIM
kubectl apply -f - <<'END'
apiVersion: batch/v1
kind: Job
metadata: {{ name: osn-{id} }}
spec:
  completionMode: Indexed
  completions: {n_cells}
  parallelism: {n_cells}
  backoffLimitPerIndex: {TRIES}
  podFailurePolicy:
    rules: [{{ action: FailIndex, onExitCodes: {{ operator: In, values: [2] }} }}]
  template:
    spec:
      restartPolicy: Never
      containers:
      - name: osn
        image: IMAGE
        command: [sh, -c, {script}]
        workingDir: {folder}
        resources: {{ requests: {{ cpu: {threads} }} }}
        volumeMounts: [{{ name: study, mountPath: {folder} }}]
      volumes: [{{ name: study, persistentVolumeClaim: {{ claimName: CLAIM }} }}]
END
"
    ))
}
