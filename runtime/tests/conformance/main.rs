//! The supervisor under AWS's own Runtime Interface Emulator, the core of Lambda's execution
//! environments: the same functions alone and in a bundle give the same answers.

#[expect(
    dead_code,
    reason = "only the Lambda API of the platform is used: the emulator is the rest"
)]
#[path = "../support/fake.rs"]
mod fake;

mod emulator;
mod tasks;

mod answers;
mod calls;
mod endings;
mod wrapper;
