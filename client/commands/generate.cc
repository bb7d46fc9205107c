#include "client/commands/generate.h"

#include <memory>
#include <string>

#include "CLI/CLI.hpp"
#include "client/commands/inference_options.h"
#include "client/commands/rows.h"
#include "client/output/error_text.h"
#include "client/output/json_text.h"
#include "client/output/text_width.h"
#include "proto/cc/status_macros.h"
#include "proto/cc/text.h"

namespace attune::client {
namespace {

absl::StatusOr<v1::StreamGenerateRequest> RequestOf(
    Session& session, const InferenceOptions& options) {
  v1::StreamGenerateRequest request;
  ATTUNE_ASSIGN_OR_RETURN(*request.mutable_target(),
                          TargetOf(session, options));
  if (!options.texts.empty()) {
    *request.mutable_fields() = RowOf("text", options.texts.front());
  } else {
    ATTUNE_ASSIGN_OR_RETURN(*request.mutable_fields(),
                            RowOfFields(options.fields));
  }
  const v1::Decoding decoding = DecodingOf(options);
  if (decoding.ByteSizeLong() > 0) *request.mutable_decoding() = decoding;
  return request;
}

// Prints a piece of text as it comes: raw into a file, harmless on a terminal.
void PrintPiece(Session& session, const v1::StreamGenerateResponse& piece) {
  if (session.json()) {
    session.out() << ToJsonLine(piece) << std::flush;
  } else if (session.console().out.terminal) {
    session.out() << Harmless(piece.text()) << std::flush;
  } else {
    session.out() << piece.text() << std::flush;
  }
}

std::string EndText(const v1::StreamGenerateResponse& last) {
  return Concat("(", last.num_generated_tokens(), " tokens",
                last.finish_reason() == v1::FINISH_REASON_LENGTH
                    ? ", cut at --max-new-tokens"
                    : "",
                ")");
}

absl::StatusOr<int> Generate(Session& session,
                             const InferenceOptions& options) {
  ATTUNE_ASSIGN_OR_RETURN(const v1::StreamGenerateRequest request,
                          RequestOf(session, options));
  Connection& connection = session.connection();
  bool printed = false;
  v1::StreamGenerateResponse last;
  // Once a piece is out, a second try would print the text twice.
  absl::Status status = connection.Try(Repeat::kSafe, [&]() -> absl::Status {
    Connection::ActiveCall call(connection.interrupt(),
                                connection.TimeoutOr(absl::Minutes(10)));
    const auto reader =
        connection.inference().StreamGenerate(call.context(), request);
    v1::StreamGenerateResponse piece;
    while (reader->Read(&piece)) {
      PrintPiece(session, piece);
      printed = true;
      last = piece;
    }
    absl::Status result = connection.FromServer(reader->Finish());
    if (printed && absl::IsUnavailable(result)) {
      return absl::AbortedError(
          ToAbsl(Concat("the stream broke off: ", ToStd(result.message()))));
    }
    return result;
  });
  if (printed && !session.json()) session.out() << '\n';
  ATTUNE_RETURN_IF_ERROR(status);
  if (session.console().err.terminal && !session.json()) {
    session.err() << session.console().err.Paint(Style::kDim, EndText(last))
                  << '\n';
  }
  return kExitOk;
}

}  // namespace

void AddGenerateCommand(CLI::App& root, Session& session) {
  const auto options = std::make_shared<InferenceOptions>();
  CLI::App* command = root.add_subcommand(
      "generate", "Generate text with a tuned prompt, as it comes");
  AddTargetOptions(*command, *options);
  CLI::Option_group* inputs = command->add_option_group("input");
  inputs->add_option("--text", options->texts, "The input's only field, 'text'")
      ->expected(1)
      ->allow_extra_args(false);  // or "[a,b]" would be two
  inputs
      ->add_option("--field", options->fields,
                   "A field of the input, name=text, many times")
      ->allow_extra_args(false);
  inputs->require_option(1);
  AddDecodingOptions(*command, *options);
  command->footer(
      "Examples:\n"
      "  attune generate tone-rewrite --text \"send me the file now\"\n"
      "  attune generate tone-rewrite@prod --text \"...\" --temperature 0.7 "
      "--seed 3\n"
      "Ctrl-C stops the generation.");
  command->callback([&session, options] {
    session.action = [&session, options] {
      return Generate(session, *options);
    };
  });
}

}  // namespace attune::client
