//! `strongroom audit`

use strongroom_actions::audit;

use crate::{
    args::audit::{AuditArgs, AuditCommand},
    exit::{Exit, Failure},
    face::Face,
    settings::Settings,
    text,
};

pub fn run(args: &AuditArgs, settings: &Settings, face: Face) -> Result<Exit, Failure> {
    let log = settings.audit_log().ok_or_else(|| {
        Failure::new(
            Exit::FAILURE,
            "there is no audit log: neither the configuration nor the environment has a place for it",
        )
    })?;
    match &args.command {
        AuditCommand::List(filter) => {
            let records = audit::list(&log, &filter.filter())?;
            face.tell(&records, |_| text::audit_list(&records))?;
        }
        AuditCommand::Summary(filter) => {
            let summary = audit::summary(&log, &filter.filter())?;
            face.tell(&summary, |_| text::audit_summary(&summary))?;
        }
        AuditCommand::Verify(args) => {
            let found = audit::verify(&log, args.noted.clone())?;
            face.tell(&found, |style| text::audit_verified(&found, style))?;
            return Ok(if found.is_sound() { Exit::OK } else { Exit::DAMAGED });
        }
    }
    Ok(Exit::OK)
}
