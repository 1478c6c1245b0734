//! A state machine in progress.

use serde::{Deserialize, Serialize};

use super::{
    AttemptId, Awaited, Command, Ending, Event, Slots, Ticket, Tickets, TimerId, check_limits,
};
use crate::flow::StepName;
use crate::flow::data::Data;
use crate::flow::failure::{Failure, NO_CHOICE_MATCHED, RUNTIME, Retries, pause_us};
use crate::flow::states::{Kind, State, States, Wait};
use crate::flow::template::Context;

/// States that a machine or a branch may enter: Step Functions, too, ends an execution that goes on and
/// on, after 25,000 entries in its history.
const ENTERED_LIMIT: u32 = 25_000;
const US_PER_S: f64 = 1e6;

/// An execution of a state machine.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct StatesRun {
    input: Data,
    frames: Slots<Frame>,
    tickets: Tickets,
}

/// A machine, or a branch of a Parallel or an iteration of a Map state, in one of its states.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Frame {
    parent: Option<Parent>,
    /// Number of the state it is in.
    state: usize,
    /// Input of that state.
    input: Data,
    /// Number and element of the innermost iteration it is part of.
    item: Option<(usize, Data)>,
    retries: Retries,
    /// States entered so far.
    entered: u32,
    work: Work,
}

/// Where a branch belongs.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
struct Parent {
    frame: u32,
    /// Which of its state's branches or iterations this is.
    place: usize,
}

/// What the state of a frame does.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Work {
    /// Nothing, for the moment.
    None,
    /// It has invoked its task, or is a Wait state.
    Awaits(Awaited),
    /// It waits before it is tried again.
    Pauses(Awaited),
    /// It runs branches.
    Branches(Branches),
}

#[derive(Clone, Debug, Deserialize, Serialize)]
struct Branches {
    /// What the state was given.
    given: Data,
    /// The list of a Map.
    items: Option<Data>,
    /// Of each that was started.
    started: Vec<Branch>,
    /// How many there are in all.
    total: usize,
    /// How many are not done, those that were not started included.
    left: usize,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Branch {
    Runs(u32),
    Done(Data),
}

/// What comes after what a state did.
enum Move {
    /// It goes on.
    Stay,
    /// The state of this number, with this input.
    Next(usize, Data),
    /// The end of the machine or branch.
    End(Ending),
}

impl StatesRun {
    pub(super) fn start(
        root: &States,
        input: Data,
        commands: &mut Vec<Command>,
    ) -> (Self, Option<Ending>) {
        let mut run =
            Self { input: input.clone(), frames: Slots::new(), tickets: Tickets::default() };
        let started = Driver { root, run: &mut run, commands }.start(root, None, input, None);
        (run, started.err())
    }

    pub(super) fn on(
        &mut self,
        root: &States,
        event: Event,
        commands: &mut Vec<Command>,
    ) -> Option<Ending> {
        let (about, answer) = event.split();
        let at = about.slot();
        let frame = self.frames.get_mut(at)?;
        let paused = match &frame.work {
            Work::Awaits(awaited) if *awaited == about => false,
            Work::Pauses(awaited) if *awaited == about => true,
            _ => return None,
        };
        frame.work = Work::None;
        let mut driver = Driver { root, run: self, commands };
        let follows = match answer {
            None if paused => driver.enter(at),
            None => driver.waited(at),
            Some(Ok(result)) => driver.concluded(at, result),
            Some(Err(failure)) => driver.failed(at, failure),
        };
        driver.go_on(at, follows)
    }
}

/// An execution, what it executes, and what it wants done. Frames are named by their slots.
struct Driver<'a> {
    root: &'a States,
    run: &'a mut StatesRun,
    commands: &'a mut Vec<Command>,
}

impl<'a> Driver<'a> {
    /// Goes on from a move of a frame. If its machine or branch ends thereby, so may those it is part
    /// of. Gives the end of the execution.
    fn go_on(&mut self, mut at: u32, mut follows: Move) -> Option<Ending> {
        loop {
            let ending = self.follow(at, follows)?;
            let Some(Parent { frame, place }) = self.run.frames.take(at)?.parent else {
                return Some(ending);
            };
            at = frame;
            follows = match ending {
                Ok(result) => self.branch_done(at, place, result),
                Err(failure) => self.failed(at, failure),
            };
        }
    }

    /// Goes where a move leads, until the frame waits for something (`None`) or has ended.
    fn follow(&mut self, at: u32, mut follows: Move) -> Option<Ending> {
        loop {
            match follows {
                Move::Stay => return None,
                Move::End(ending) => return Some(ending),
                Move::Next(state, input) => {
                    let frame = self.frame_mut(at);
                    frame.state = state;
                    frame.input = input;
                    frame.retries.clear();
                    follows = self.enter(at);
                }
            }
        }
    }

    /// Starts a machine or a branch.
    ///
    /// # Errors
    /// How it ended, if it did at once.
    fn start(
        &mut self,
        machine: &States,
        parent: Option<Parent>,
        input: Data,
        item: Option<(usize, Data)>,
    ) -> Result<u32, Ending> {
        let at = self.run.frames.put(Frame {
            parent,
            state: 0,
            input: Data::Null,
            item,
            retries: Retries::new(),
            entered: 0,
            work: Work::None,
        });
        let ending = self.follow(at, to(machine, &machine.start, input));
        match ending {
            None => Ok(at),
            Some(ending) => {
                self.run.frames.take(at);
                Err(ending)
            }
        }
    }

    fn frame(&self, at: u32) -> &Frame {
        self.run.frames.get(at).expect("frames are only taken out when they have ended")
    }

    fn frame_mut(&mut self, at: u32) -> &mut Frame {
        self.run.frames.get_mut(at).expect("frames are only taken out when they have ended")
    }

    /// The machine or branch that a frame runs.
    fn machine(&self, at: u32) -> &'a States {
        match self.frame(at).parent {
            None => self.root,
            Some(Parent { frame, place }) => branch(self.state(frame).1, place),
        }
    }

    /// The state that a frame is in, with its name.
    fn state(&self, at: u32) -> (&'a str, &'a State) {
        let number = self.frame(at).state;
        let (name, state) = self.machine(at).states.get_index(number).expect("numbers of states");
        (name, state)
    }

    fn context(&self, at: u32) -> Context<'_> {
        let frame = self.frame(at);
        Context {
            execution_input: &self.run.input,
            item: frame.item.as_ref().map(|(number, item)| (*number, item)),
            state: self.state(at).0,
            retry_count: frame.retries.iter().sum(),
        }
    }

    /// Does what the state of a frame does, from its beginning.
    fn enter(&mut self, at: u32) -> Move {
        let (name, state) = self.state(at);
        let frame = self.frame_mut(at);
        frame.entered += 1;
        let within = check_limits(&frame.input);
        if frame.entered > ENTERED_LIMIT {
            let cause = format!("more than {ENTERED_LIMIT} states were entered");
            return Move::End(Err(Failure::new(RUNTIME, cause)));
        }
        let begun = within.and_then(|()| self.begin(at, name, state));
        match (begun, &state.kind) {
            (Ok(follows), _) => follows,
            (Err(failure), Kind::Task { .. } | Kind::Parallel { .. } | Kind::Map { .. }) => {
                self.failed(at, failure)
            }
            (Err(failure), _) => Move::End(Err(failure)),
        }
    }

    fn begin(&mut self, at: u32, name: &str, state: &'a State) -> Result<Move, Failure> {
        if let Kind::Fail { error, cause } = &state.kind {
            return Err(Failure::new(error, cause.as_str()));
        }
        let given = state.data.given(&self.frame(at).input, self.context(at))?;
        match &state.kind {
            Kind::Task { task, timeout_us } => {
                check_limits(&given)?;
                let ticket = self.run.tickets.take(at);
                self.frame_mut(at).work = Work::Awaits(Awaited::Answer(ticket));
                self.commands.push(Command::Invoke {
                    attempt: AttemptId(ticket.0),
                    step: StepName(self.place(at, name)),
                    task: task.clone(),
                    payload: given,
                    timeout_us: *timeout_us,
                });
                Ok(Move::Stay)
            }
            Kind::Parallel { branches } => Ok(self.run_branches(at, given, None, branches.len())),
            Kind::Map { items, .. } => {
                let items = given.at(items).filter(|items| items.as_list().is_some()).cloned();
                let items = items.ok_or_else(|| {
                    Failure::new(RUNTIME, format!("`{name}` has no list to go through"))
                })?;
                let total = items.as_list().map_or(0, <[Data]>::len);
                Ok(self.run_branches(at, given, Some(items), total))
            }
            Kind::Choice { rules, default } => {
                let mut chosen = default.as_ref();
                for (condition, next) in rules {
                    let holds = condition.holds(&given).map_err(|absent| {
                        Failure::new(RUNTIME, format!("a rule of `{name}`: {absent}"))
                    })?;
                    if holds {
                        chosen = Some(next);
                        break;
                    }
                }
                let Some(chosen) = chosen else {
                    let cause = format!("no rule of `{name}` holds, and it has no default");
                    return Err(Failure::new(NO_CHOICE_MATCHED, cause));
                };
                let output = state.data.output.of(&given, name)?;
                Ok(to(self.machine(at), chosen, output))
            }
            Kind::Pass { result } => {
                let result = result.clone().unwrap_or(given);
                self.conclude(at, result)
            }
            Kind::Wait(wait) => {
                let duration_us = duration_us(wait, &given).ok_or_else(|| {
                    let cause = format!("`{name}` is not told how many seconds to wait");
                    Failure::new(RUNTIME, cause)
                })?;
                let ticket = self.run.tickets.take(at);
                self.frame_mut(at).work = Work::Awaits(Awaited::Time(ticket));
                self.commands.push(Command::Wait { timer: TimerId(ticket.0), duration_us });
                Ok(Move::Stay)
            }
            Kind::Succeed => Ok(Move::End(state.data.output.of(&given, name))),
            Kind::Fail { .. } => Ok(Move::Stay),
        }
    }

    /// The name of a state by its place.
    fn place(&self, at: u32, name: &str) -> String {
        let Some(Parent { frame, place }) = self.frame(at).parent else {
            return name.to_owned();
        };
        let (outer, state) = self.state(frame);
        let mut text = self.place(frame, outer);
        if let Kind::Parallel { .. } = state.kind {
            text.push('/');
            text.push_str(&place.to_string());
        }
        text.push('/');
        text.push_str(name);
        text
    }

    /// A Wait state has waited.
    fn waited(&mut self, at: u32) -> Move {
        let (_, state) = self.state(at);
        let given = state.data.given(&self.frame(at).input, self.context(at));
        given.and_then(|given| self.conclude(at, given)).unwrap_or_else(|it| Move::End(Err(it)))
    }

    /// A Task, Parallel or Map state has its result.
    fn concluded(&mut self, at: u32, result: Data) -> Move {
        self.conclude(at, result).unwrap_or_else(|failure| self.failed(at, failure))
    }

    fn conclude(&self, at: u32, result: Data) -> Result<Move, Failure> {
        let (_, state) = self.state(at);
        let output = state.data.output(&self.frame(at).input, result, self.context(at))?;
        Ok(match &state.next {
            None => Move::End(Ok(output)),
            Some(next) => to(self.machine(at), next, output),
        })
    }

    /// Tries a state again, or goes where its failure leads.
    fn failed(&mut self, at: u32, failure: Failure) -> Move {
        self.give_up_branches(at);
        let (name, state) = self.state(at);
        let frame = self.run.frames.get_mut(at).expect("it has not ended");
        if let Some(duration_us) = pause_us(&state.retry, &mut frame.retries, &failure) {
            let ticket = self.run.tickets.take(at);
            frame.work = Work::Pauses(Awaited::Time(ticket));
            self.commands.push(Command::Wait { timer: TimerId(ticket.0), duration_us });
            return Move::Stay;
        }
        let Some(catch) = state.catch.iter().find(|catch| failure.is_one_of(&catch.errors)) else {
            return Move::End(Err(failure));
        };
        let fields = failure.data().into_iter();
        let told = Data::object(fields.map(|(name, field)| (name.into(), field)).collect());
        match catch.result.put(&frame.input, told, name) {
            Ok(input) => to(self.machine(at), &catch.next, input),
            Err(failure) => Move::End(Err(failure)),
        }
    }

    fn run_branches(&mut self, at: u32, given: Data, items: Option<Data>, total: usize) -> Move {
        let started = Vec::with_capacity(total);
        let branches = Branches { given, items, started, total, left: total };
        self.frame_mut(at).work = Work::Branches(branches);
        self.start_branches(at)
    }

    /// Starts as many branches as may run at the same time, and concludes the state once all are done.
    fn start_branches(&mut self, at: u32) -> Move {
        let (_, state) = self.state(at);
        let concurrency = match &state.kind {
            Kind::Map { concurrency: Some(most), .. } => *most as usize,
            _ => usize::MAX,
        };
        while let Work::Branches(branches) = &self.frame(at).work {
            let place = branches.started.len();
            let running = place - (branches.total - branches.left);
            if place == branches.total || running >= concurrency {
                break;
            }
            let begun = self.branch_input(at, state, place).map(|(input, item)| {
                let parent = Parent { frame: at, place };
                self.start(branch(state, place), Some(parent), input, item)
            });
            let started = match begun {
                Ok(Ok(frame)) => Branch::Runs(frame),
                Ok(Err(Ok(result))) => Branch::Done(result),
                Err(failure) | Ok(Err(Err(failure))) => return self.failed(at, failure),
            };
            if let Work::Branches(branches) = &mut self.frame_mut(at).work {
                branches.left -= usize::from(matches!(started, Branch::Done(_)));
                branches.started.push(started);
            }
        }
        let frame = self.frame_mut(at);
        match std::mem::replace(&mut frame.work, Work::None) {
            Work::Branches(branches) if branches.left == 0 => {
                let results = branches.started.into_iter().filter_map(|branch| match branch {
                    Branch::Done(result) => Some(result),
                    Branch::Runs(_) => None,
                });
                let result = Data::list(results.collect());
                self.concluded(at, result)
            }
            work => {
                frame.work = work;
                Move::Stay
            }
        }
    }

    /// What a branch starts with: its input, and the number and element of the iteration it is part of.
    fn branch_input(
        &self,
        at: u32,
        state: &State,
        place: usize,
    ) -> Result<(Data, Option<(usize, Data)>), Failure> {
        let frame = self.frame(at);
        let Work::Branches(branches) = &frame.work else {
            return Ok((Data::Null, None));
        };
        let item = branches.items.as_ref().and_then(|items| items.as_list()?.get(place));
        let Some(item) = item else {
            return Ok((branches.given.clone(), frame.item.clone()));
        };
        let input = match &state.kind {
            Kind::Map { selector: Some(selector), .. } => {
                let context = Context { item: Some((place, item)), ..self.context(at) };
                selector.fill(&branches.given, context)?
            }
            _ => item.clone(),
        };
        Ok((input, Some((place, item.clone()))))
    }

    fn branch_done(&mut self, at: u32, place: usize, result: Data) -> Move {
        if let Work::Branches(branches) = &mut self.frame_mut(at).work {
            branches.started[place] = Branch::Done(result);
            branches.left -= 1;
        }
        self.start_branches(at)
    }

    /// Ends the branches of a frame that has failed. What they wait for is of no interest any more, and
    /// what they wanted in this moment is not done.
    fn give_up_branches(&mut self, at: u32) {
        if let Work::Branches(branches) =
            std::mem::replace(&mut self.frame_mut(at).work, Work::None)
        {
            self.run.give_up(branches);
            let run = &self.run;
            self.commands.retain(|command| run.awaits(command));
        }
    }
}

impl StatesRun {
    fn give_up(&mut self, branches: Branches) {
        for branch in branches.started {
            // The branch whose failure this is about is not there any more.
            if let Branch::Runs(frame) = branch
                && let Some(Frame { work: Work::Branches(branches), .. }) = self.frames.take(frame)
            {
                self.give_up(branches);
            }
        }
    }

    /// Whether a frame waits for what comes of a command.
    fn awaits(&self, command: &Command) -> bool {
        let awaited = match command {
            Command::Invoke { attempt, .. } => Awaited::Answer(Ticket(attempt.0)),
            Command::Wait { timer, .. } => Awaited::Time(Ticket(timer.0)),
            Command::Done(_) => return true,
        };
        let work = self.frames.get(awaited.slot()).map(|frame| &frame.work);
        matches!(work, Some(Work::Awaits(it) | Work::Pauses(it)) if *it == awaited)
    }
}

/// To the state of this name.
fn to(machine: &States, name: &str, input: Data) -> Move {
    match machine.states.get_index_of(name) {
        Some(state) => Move::Next(state, input),
        None => Move::End(Err(Failure::new(RUNTIME, format!("there is no state `{name}`")))),
    }
}

/// What a branch or an iteration of a state runs.
fn branch(state: &State, place: usize) -> &States {
    match &state.kind {
        Kind::Parallel { branches } => &branches[place],
        Kind::Map { iterator, .. } => iterator,
        _ => unreachable!("only Parallel and Map states have branches"),
    }
}

fn duration_us(wait: &Wait, given: &Data) -> Option<u64> {
    match wait {
        Wait::For(us) => Some(*us),
        Wait::Path(path) => {
            let seconds = given.at(path)?.as_f64().filter(|seconds| *seconds >= 0.0)?;
            Some((seconds * US_PER_S) as u64)
        }
    }
}
