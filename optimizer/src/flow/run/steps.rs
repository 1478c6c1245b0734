//! Steps in progress.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AttemptId, Awaited, Command, Ending, Event, Slots, Tickets, TimerId, check_limits};
use crate::flow::data::Data;
use crate::flow::failure::{Failure, RUNTIME, Retries, pause_us};
use crate::flow::steps::{Step, Steps};
use crate::workflow::TaskName;

/// An execution of steps.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct StepsRun {
    input: Data,
    /// Of each step, by its number.
    steps: Vec<Progress>,
    /// Steps that are neither done nor left out.
    unsettled: usize,
    jobs: Slots<Job>,
    tickets: Tickets,
}

/// How far a step is.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Progress {
    /// It comes after so many steps that are not settled.
    Waiting(usize),
    /// It runs.
    Running(Running),
    /// It is done, with this result.
    Done(Data),
    /// It does not run.
    LeftOut,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Running {
    input: Data,
    /// The list over which it is invoked.
    list: Option<List>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct List {
    items: Data,
    /// Of each element that was started.
    results: Vec<Option<Data>>,
    /// Elements without a result.
    left: usize,
}

/// One invocation, until it is settled: its attempts and the pauses between them.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Job {
    step: usize,
    part: Part,
    retries: Retries,
    awaited: Option<Awaited>,
}

/// What of a step is invoked.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Part {
    Whole,
    Item(usize),
    StandIn,
}

impl StepsRun {
    pub(super) fn start(
        steps: &Steps,
        input: Data,
        commands: &mut Vec<Command>,
    ) -> (Self, Option<Ending>) {
        let waiting = (0..steps.count()).map(|step| Progress::Waiting(steps.before(step).len()));
        let mut run = Self {
            input,
            steps: waiting.collect(),
            unsettled: steps.count(),
            jobs: Slots::new(),
            tickets: Tickets::default(),
        };
        let ready = (0..steps.count()).filter(|step| steps.before(*step).is_empty()).collect();
        let ending = Driver { steps, run: &mut run, commands }.proceed(ready);
        (run, ending)
    }

    pub(super) fn on(
        &mut self,
        steps: &Steps,
        event: Event,
        commands: &mut Vec<Command>,
    ) -> Option<Ending> {
        let (about, answer) = event.split();
        let slot = about.slot();
        let job = self.jobs.get(slot).filter(|job| job.awaited == Some(about))?;
        let (step, part) = (job.step, job.part);
        let mut driver = Driver { steps, run: self, commands };
        match answer {
            None => {
                driver.invoke(slot);
                None
            }
            Some(Ok(result)) => {
                driver.run.jobs.take(slot);
                driver.answered(step, part, result)
            }
            Some(Err(failure)) => driver.failed(slot, failure).err().map(Err),
        }
    }
}

/// An execution, what it executes, and what it wants done.
struct Driver<'a> {
    steps: &'a Steps,
    run: &'a mut StepsRun,
    commands: &'a mut Vec<Command>,
}

impl Driver<'_> {
    fn answered(&mut self, step: usize, part: Part, result: Data) -> Option<Ending> {
        let result = match (part, &mut self.run.steps[step]) {
            (Part::Item(number), Progress::Running(Running { list: Some(list), .. })) => {
                list.results[number] = Some(result);
                list.left -= 1;
                if list.left > 0 {
                    self.start_items(step, 1);
                    return None;
                }
                Data::list(std::mem::take(&mut list.results).into_iter().flatten().collect())
            }
            _ => result,
        };
        let mut ready = Vec::new();
        self.settle(step, Progress::Done(result), &mut ready);
        self.proceed(ready)
    }

    /// Starts steps whose turn has come, and those whose turn comes thereby. Gives the result if that
    /// was the last of it.
    fn proceed(&mut self, mut ready: Vec<usize>) -> Option<Ending> {
        let mut at = 0;
        while let Some(&step) = ready.get(at) {
            at += 1;
            match self.begin(step) {
                Ok(None) => {}
                Ok(Some(progress)) => self.settle(step, progress, &mut ready),
                Err(failure) => {
                    if let Err(failure) = self.stand_in(step, failure) {
                        return Some(Err(failure));
                    }
                }
            }
        }
        (self.run.unsettled == 0).then(|| Ok(self.result()))
    }

    /// Starts a step, or tells that it is settled without running.
    fn begin(&mut self, step: usize) -> Result<Option<Progress>, Failure> {
        let before = self.steps.before(step);
        if !before.is_empty() && before.iter().all(|other| self.done(*other).is_none()) {
            return Ok(Some(Progress::LeftOut));
        }
        let input = match before {
            [] => self.run.input.clone(),
            several => self.results(several),
        };
        let (name, Step { map, when, .. }) = self.steps.at(step);
        if when.as_ref().is_some_and(|when| !when.holds(&input).unwrap_or(false)) {
            return Ok(Some(Progress::LeftOut));
        }
        self.run.steps[step] = Progress::Running(Running { input: input.clone(), list: None });
        check_limits(&input)?;
        let Some(map) = map else {
            self.add(step, Part::Whole);
            return Ok(None);
        };
        let items = input.pointer(&map.items).cloned().unwrap_or_default();
        let Some(count) = items.as_list().map(<[Data]>::len) else {
            let cause = format!("there is no list at `{}` in the input of `{name}`", map.items);
            return Err(Failure::new(RUNTIME, cause));
        };
        if count == 0 {
            return Ok(Some(Progress::Done(items)));
        }
        let list = List { items, results: Vec::with_capacity(count), left: count };
        self.run.steps[step] = Progress::Running(Running { input, list: Some(list) });
        self.start_items(step, map.concurrency.map_or(count, |most| count.min(most as usize)));
        Ok(None)
    }

    /// Starts the next elements of a list, at most so many.
    fn start_items(&mut self, step: usize, most: usize) {
        for _ in 0..most {
            let Progress::Running(Running { list: Some(list), .. }) = &mut self.run.steps[step]
            else {
                return;
            };
            let number = list.results.len();
            if list.items.as_list().is_none_or(|items| number == items.len()) {
                return;
            }
            list.results.push(None);
            self.add(step, Part::Item(number));
        }
    }

    fn add(&mut self, step: usize, part: Part) {
        let job = Job { step, part, retries: Retries::new(), awaited: None };
        let slot = self.run.jobs.put(job);
        self.invoke(slot);
    }

    /// Makes an attempt at a job that is no stand-in.
    fn invoke(&mut self, slot: u32) {
        let Some(job) = self.run.jobs.get(slot) else { return };
        let Progress::Running(running) = &self.run.steps[job.step] else { return };
        let items = running.list.as_ref().and_then(|list| list.items.as_list());
        let payload = match (job.part, items) {
            (Part::Item(number), Some(items)) => items[number].clone(),
            _ => running.input.clone(),
        };
        let (_, step) = self.steps.at(job.step);
        self.send(slot, &step.task, payload);
    }

    fn send(&mut self, slot: u32, task: &TaskName, payload: Data) {
        let ticket = self.run.tickets.take(slot);
        let Some(job) = self.run.jobs.get_mut(slot) else { return };
        job.awaited = Some(Awaited::Answer(ticket));
        self.commands.push(Command::Invoke {
            attempt: AttemptId(ticket.0),
            step: self.steps.at(job.step).0.into(),
            task: task.clone(),
            payload,
            timeout_us: None,
        });
    }

    /// Tries a failed job again, or lets something stand in for its step.
    ///
    /// # Errors
    /// If the step fails for good.
    fn failed(&mut self, slot: u32, failure: Failure) -> Result<(), Failure> {
        let Some(job) = self.run.jobs.get_mut(slot) else { return Ok(()) };
        if job.part == Part::StandIn {
            return Err(failure);
        }
        let step = job.step;
        let (_, Step { retry, .. }) = self.steps.at(step);
        if let Some(duration_us) = pause_us(retry, &mut job.retries, &failure) {
            let ticket = self.run.tickets.take(slot);
            job.awaited = Some(Awaited::Time(ticket));
            self.commands.push(Command::Wait { timer: TimerId(ticket.0), duration_us });
            return Ok(());
        }
        self.run.jobs.retain(|job| job.step != step);
        self.stand_in(step, failure)
    }

    /// Invokes what stands in for a step.
    ///
    /// # Errors
    /// The failure, if nothing does.
    fn stand_in(&mut self, step: usize, failure: Failure) -> Result<(), Failure> {
        let (_, Step { catch, .. }) = self.steps.at(step);
        let Some(catch) = catch.iter().find(|catch| failure.is_one_of(&catch.errors)) else {
            return Err(failure);
        };
        let input = match &self.run.steps[step] {
            Progress::Running(running) => running.input.clone(),
            _ => Data::Null,
        };
        let fields = failure.data().into_iter().chain([("Input", input)]);
        let payload = Data::object(fields.map(|(name, field)| (name.into(), field)).collect());
        check_limits(&payload)?;
        let job = Job { step, part: Part::StandIn, retries: Retries::new(), awaited: None };
        let slot = self.run.jobs.put(job);
        self.send(slot, &catch.task, payload);
        Ok(())
    }

    /// Notes that a step is done or left out; adds the steps whose turn has come to `ready`.
    fn settle(&mut self, step: usize, progress: Progress, ready: &mut Vec<usize>) {
        self.run.steps[step] = progress;
        self.run.unsettled -= 1;
        for &next in self.steps.following(step) {
            if let Progress::Waiting(left) = &mut self.run.steps[next] {
                *left -= 1;
                if *left == 0 {
                    ready.push(next);
                }
            }
        }
    }

    fn done(&self, step: usize) -> Option<&Data> {
        match &self.run.steps[step] {
            Progress::Done(result) => Some(result),
            _ => None,
        }
    }

    /// The result of one step, or those of several by name; without those that are left out.
    fn results(&self, numbers: &[usize]) -> Data {
        match numbers {
            [one] => self.done(*one).cloned().unwrap_or_default(),
            several => {
                let done = several.iter().filter_map(|step| Some((*step, self.done(*step)?)));
                let named = done.map(|(step, result)| {
                    let (name, _) = self.steps.at(step);
                    (Arc::from(name), result.clone())
                });
                Data::object(named.collect())
            }
        }
    }

    fn result(&self) -> Data {
        let steps = 0..self.steps.count();
        let last: Vec<usize> =
            steps.filter(|step| self.steps.following(*step).is_empty()).collect();
        self.results(&last)
    }
}
