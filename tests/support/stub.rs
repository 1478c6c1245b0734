//! A server that answers as AWS in some account could, by rules: alone, or in front of another that it passes everything
//! else on to. It remembers what it was asked.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::aws::{Request, respond};

/// The account that every caller belongs to.
pub const ACCOUNT: &str = "123456789012";

/// What is answered to one kind of request, such as `GET /2015-03-31/functions/a`, or `POST / FilterLogEvents` for the
/// services that have operations instead of paths. With `*` at the end, whatever follows.
#[derive(Clone, Debug)]
pub struct Rule {
    asked: String,
    reply: Reply,
    times: usize,
}

#[derive(Clone, Debug)]
enum Reply {
    Error { status: u16, code: String, message: Option<String> },
    Answer(Value),
    Merged(Value),
}

impl Rule {
    /// An error. Without a message, AWS says only what kind it is.
    #[must_use]
    pub fn error(asked: &str, status: u16, code: &str, message: Option<&str>) -> Self {
        let (code, message) = (code.to_owned(), message.map(str::to_owned));
        Self::new(asked, Reply::Error { status, code, message })
    }

    /// The answer of a service that speaks JSON.
    #[must_use]
    pub fn answer(asked: &str, answer: Value) -> Self {
        Self::new(asked, Reply::Answer(answer))
    }

    /// What the server behind it answers, with these fields added or replaced.
    #[must_use]
    pub fn merged(asked: &str, fields: Value) -> Self {
        Self::new(asked, Reply::Merged(fields))
    }

    fn new(asked: &str, reply: Reply) -> Self {
        Self { asked: asked.to_owned(), reply, times: usize::MAX }
    }

    /// The same for the first few such requests only.
    #[must_use]
    pub fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    fn is_about(&self, asked: &str) -> bool {
        self.times > 0
            && match self.asked.strip_suffix('*') {
                Some(start) => asked.starts_with(start),
                None => self.asked == asked,
            }
    }
}

/// The server.
pub struct Stub {
    /// Its endpoint.
    pub endpoint: String,
    rules: Arc<Mutex<Vec<Rule>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    /// Starts one, in front of another or where nothing is deployed.
    ///
    /// # Panics
    /// If it cannot listen.
    #[must_use]
    pub fn start(upstream: Option<&str>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("it listens"));
        let upstream = upstream.map(str::to_owned);
        let (rules, asked) = (Arc::<Mutex<Vec<Rule>>>::default(), Arc::default());
        let (by, to) = (Arc::clone(&rules), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (upstream, by, to) = (upstream.clone(), Arc::clone(&by), Arc::clone(&to));
                std::thread::spawn(move || serve(stream, upstream.as_deref(), &by, &to));
            }
        });
        Self { endpoint, rules, asked }
    }

    /// Has these rules from now on instead of others, and has been asked nothing yet.
    ///
    /// # Panics
    /// If a thread that served it panicked.
    pub fn set(&self, rules: &[Rule]) {
        *self.rules.lock().expect("not poisoned") = rules.to_vec();
        self.asked.lock().expect("not poisoned").clear();
    }

    /// What it was asked, in order.
    ///
    /// # Panics
    /// If a thread that served it panicked.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }

    /// What it was asked that changes something.
    #[must_use]
    pub fn changes(&self) -> Vec<String> {
        let reads = [
            "GET ",
            "POST / GetCallerIdentity",
            "POST / FilterLogEvents",
            "POST / StartQuery",
            "POST / GetQueryResults",
        ];
        let changes = self.asked().into_iter();
        changes.filter(|asked| !reads.iter().any(|read| asked.starts_with(read))).collect()
    }
}

fn serve(
    mut client: TcpStream,
    upstream: Option<&str>,
    rules: &Mutex<Vec<Rule>>,
    to: &Mutex<Vec<String>>,
) -> Option<()> {
    let request = Request::receive(&mut client)?;
    let asked = kind(&request);
    to.lock().expect("not poisoned").push(asked.clone());
    let rule =
        rules.lock().expect("not poisoned").iter_mut().find(|it| it.is_about(&asked)).map(|rule| {
            rule.times -= usize::from(rule.times != usize::MAX);
            rule.reply.clone()
        });
    let speaks_xml = asked == "POST / GetCallerIdentity";
    match rule {
        Some(Reply::Error { status, code, message }) if speaks_xml => {
            let message = message.unwrap_or_default();
            let body = format!(
                "<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
            );
            respond(&mut client, status, &[("Content-Type", "text/xml")], &body)
        }
        Some(Reply::Error { status, code, message }) => {
            let mut body = json!({ "__type": code });
            if let Some(message) = message {
                body["Message"] = message.into();
            }
            respond(&mut client, status, &[("x-amzn-ErrorType", &code)], &body.to_string())
        }
        Some(Reply::Answer(answer)) => respond(&mut client, 200, &[], &answer.to_string()),
        Some(Reply::Merged(fields)) => {
            let answer = request.forward(upstream?)?;
            let text = String::from_utf8_lossy(&answer);
            let (head, body) = text.split_once("\r\n\r\n")?;
            if !head.starts_with("HTTP/1.1 200") {
                return client.write_all(&answer).ok();
            }
            let mut body = serde_json::from_str(body).ok()?;
            merge(&mut body, fields);
            respond(&mut client, 200, &[], &body.to_string())
        }
        None if speaks_xml => {
            let body = format!(
                "<GetCallerIdentityResponse><GetCallerIdentityResult><Account>{ACCOUNT}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
            );
            respond(&mut client, 200, &[("Content-Type", "text/xml")], &body)
        }
        None => match upstream {
            Some(upstream) => client.write_all(&request.forward(upstream)?).ok(),
            None => {
                let header = ("x-amzn-ErrorType", "ResourceNotFoundException");
                respond(&mut client, 404, &[header], "{\"Message\":\"there is no such thing\"}")
            }
        },
    }
}

/// What rules call a request.
fn kind(request: &Request) -> String {
    let mut words = request.head.split_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split('?').next().unwrap_or_default();
    if path != "/" {
        return format!("{method} {path}");
    }
    let body = String::from_utf8_lossy(&request.body);
    let action = body.split('&').find_map(|field| field.strip_prefix("Action=")).map(str::to_owned);
    let target =
        request.header("x-amz-target").and_then(|it| it.rsplit('.').next()).map(str::to_owned);
    format!("{method} / {}", target.or(action).unwrap_or_default())
}

fn merge(into: &mut Value, fields: Value) {
    match (into, fields) {
        (Value::Object(into), Value::Object(fields)) => {
            for (key, value) in fields {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, value) => *into = value,
    }
}
