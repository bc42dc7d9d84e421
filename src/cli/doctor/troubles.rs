//! Reports what went wrong in the server since it started: mistakes in predictions, and the last prediction and
//! training of each project that failed. What a later success has made good is only mentioned.

use super::report::CheckGroup;
use crate::cli::probe::{NotedFailure, NotedMistake, NotedTroubles};
use crate::cli::remote::table::{local_time, one_line, text};
use crate::cli::start::DEFAULT_PORT;

/// `port`: that of the server.
pub(super) fn report(group: &mut CheckGroup, troubles: &NotedTroubles, port: u16) {
    let of_server = if port == DEFAULT_PORT { String::new() } else { format!(" --port {port}") };
    for NotedMistake { project, message, answers } in &troubles.mistakes {
        let many = if *answers == 1 { "answer" } else { "answers" };
        group.problem(
            format!("{answers} {many} for project {project}: {message}"),
            "correct the model's `predict`; `label-studio-ml validate` runs it on your tasks",
        );
    }
    for failed in &troubles.failed_predictions {
        let (at, project) = (local_time(&failed.at), &failed.project);
        let (tasks, error) = (tasks(failed), one_line(&failed.error));
        if failed.succeeded_since {
            group.ok(format!(
                "a prediction for {tasks} of project {project} failed at {at} ({error}), and later ones worked"
            ));
            continue;
        }
        group.problem(
            format!("the last prediction for project {project} failed at {at}, for {tasks}: {error}"),
            "correct the model's `predict`: the server's log has the traceback, and `label-studio-ml validate` runs \
             it on your tasks",
        );
    }
    for failed in &troubles.failed_jobs {
        let (at, project) = (local_time(&failed.at), &failed.project);
        let (job, error) = (failed.job.as_deref().unwrap_or_default(), one_line(&failed.error));
        if failed.succeeded_since {
            group.ok(format!(
                "training job {job} of project {project} failed at {at} ({error}), and a later one succeeded"
            ));
            continue;
        }
        group.problem(
            format!("the last training of project {project} failed at {at} (job {job}): {error}"),
            format!(
                "`label-studio-ml jobs {job}{of_server}` shows the traceback, and `label-studio-ml jobs log \
                 {job}{of_server}` what the job \
                 printed; correct the model's `fit`"
            ),
        );
    }
}

/// `task 7`, or `7 tasks (4, 5, 6, …)`.
fn tasks(failed: &NotedFailure) -> String {
    let ids: Vec<String> = failed.tasks.iter().map(text).collect();
    match (failed.task_count, ids.as_slice()) {
        (1, [only]) => format!("task {only}"),
        (1, _) => "a task".into(),
        (count, []) => format!("{count} tasks"),
        (count, ids) => {
            let more = if count > ids.len() { ", …" } else { "" };
            format!("{count} tasks ({}{more})", ids.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::report::CheckLevel;
    use super::*;

    #[test]
    fn a_failure_is_a_problem_until_something_succeeded() {
        for succeeded in [false, true] {
            let troubles: NotedTroubles = serde_json::from_value(json!({
                "mistakes": [],
                "failed_predictions": [{
                    "project": "1.5", "at": "2000-11-30T10:00:00Z", "tasks": [4, "b"], "task_count": 3,
                    "error": "KeyError: 'x'\nmore", "succeeded_since": succeeded,
                }],
                "failed_jobs": [{
                    "project": "1.5", "at": null, "job": "17", "error": "ValueError: y",
                    "succeeded_since": succeeded,
                }],
            }))
            .unwrap();
            let mut group = CheckGroup::new("Server");
            report(&mut group, &troubles, 9091);
            let expected = if succeeded { CheckLevel::Ok } else { CheckLevel::Problem };
            assert!(group.checks.iter().all(|check| check.level == expected), "{group:?}");
            let [prediction, job] = group.checks.try_into().unwrap();
            assert!(prediction.text.contains("3 tasks (4, b, …)"), "{}", prediction.text);
            assert!(prediction.text.contains("KeyError: 'x'") && !prediction.text.contains("more"));
            let advice = job.advice.unwrap_or_default();
            assert!(succeeded || advice.contains("jobs log 17 --port 9091`"), "{advice}");
            assert!(job.text.contains("job") && job.text.contains("17"), "{}", job.text);
        }
    }
}
