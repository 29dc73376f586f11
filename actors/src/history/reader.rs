//! The thread that answers questions, on a connection of its own, so that a large question does not delay writing. Each
//! question has a limit of time.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use actix_rt::time::timeout;
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, InterruptHandle};
use tokio::sync::oneshot;

use super::query::{HistoryError, QUESTION_LIMIT};
use super::schema;
use super::state::{HistoryState, Source};
use super::usage::QuestionError;

/// The most questions that wait.
const WAITING: usize = 64;

type Work = Box<dyn FnOnce(Result<&Connection, HistoryError>) + Send>;

/// A question with its number.
struct Question {
    number: u64,
    work: Work,
}

/// The question that runs.
#[derive(Default)]
struct Running {
    number: u64,
    interrupt: Option<InterruptHandle>,
}

/// Puts questions to the thread.
#[derive(Clone)]
pub(super) struct Reader {
    questions: SyncSender<Question>,
    running: Arc<Mutex<Running>>,
    numbers: Arc<Mutex<u64>>,
}

/// Interrupts the question if it is dropped before the answer has arrived.
struct Interrupt<'r> {
    running: &'r Mutex<Running>,
    number: u64,
}

impl Drop for Interrupt<'_> {
    fn drop(&mut self) {
        // The lock keeps the thread from the next question.
        let running = self.running.lock();
        if running.number == self.number
            && let Some(interrupt) = &running.interrupt
        {
            interrupt.interrupt();
        }
    }
}

impl Reader {
    pub(super) fn start(state: Arc<HistoryState>) -> std::io::Result<Self> {
        let (questions, queue) = sync_channel(WAITING);
        let running = Arc::new(Mutex::new(Running::default()));
        let shared = running.clone();
        thread::Builder::new()
            .name("vdm-history-read".to_owned())
            .spawn(move || answer_all(&queue, &shared, &state))?;
        Ok(Self { questions, running, numbers: Arc::default() })
    }

    /// Runs `work` with a connection.
    pub(super) async fn ask<T, F>(&self, work: F) -> Result<T, HistoryError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, QuestionError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let number = {
            let mut numbers = self.numbers.lock();
            *numbers += 1;
            *numbers
        };
        let work: Work = Box::new(move |connection| {
            if reply.is_closed() {
                return;
            }
            // The asker may leave at any time.
            let _ = reply.send(match connection {
                Ok(connection) => work(connection).map_err(HistoryError::from),
                Err(error) => Err(error),
            });
        });
        self.questions.try_send(Question { number, work }).map_err(|error| match error {
            TrySendError::Full(_) => HistoryError::Busy,
            TrySendError::Disconnected(_) => HistoryError::NotRunning,
        })?;
        let _interrupt = Interrupt { running: &self.running, number };
        match timeout(QUESTION_LIMIT, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(HistoryError::Unavailable("the reader has stopped".to_owned())),
            Err(_) => Err(HistoryError::TooSlow),
        }
    }
}

impl From<QuestionError> for HistoryError {
    fn from(error: QuestionError) -> Self {
        match error {
            QuestionError::History(error) => error,
            QuestionError::Database(error)
                if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) =>
            {
                Self::TooSlow
            }
            QuestionError::Database(error) => Self::Unavailable(error.to_string()),
        }
    }
}

fn answer_all(queue: &Receiver<Question>, running: &Mutex<Running>, state: &HistoryState) {
    let mut open: Option<(Connection, u64)> = None;
    for Question { number, work } in queue {
        let (source, generation, error) = state.source();
        match source {
            Source::None => {
                open = None;
                work(Err(HistoryError::Unavailable(error.unwrap_or_else(|| "it is not open".to_owned()))));
            }
            Source::Memory(connection) => run(&connection.lock(), number, running, work),
            Source::File(path) => {
                if open.as_ref().is_none_or(|(_, of)| *of != generation) {
                    open = None;
                    match open_file(&path) {
                        Ok(connection) => open = Some((connection, generation)),
                        Err(error) => {
                            work(Err(error));
                            continue;
                        }
                    }
                }
                if let Some((connection, _)) = &open {
                    run(connection, number, running, work);
                }
            }
        }
    }
}

fn open_file(path: &Path) -> Result<Connection, HistoryError> {
    schema::open_to_read(path).map_err(|error| HistoryError::Unavailable(error.to_string()))
}

fn run(connection: &Connection, number: u64, running: &Mutex<Running>, work: Work) {
    *running.lock() = Running { number, interrupt: Some(connection.get_interrupt_handle()) };
    work(Ok(connection));
    running.lock().interrupt = None;
}
