// Internal. The command line and the settings file of wsd.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/log.h"
#include "core/result.h"
#include "ws/options.h"

namespace ws::daemon {

struct Settings {
  enum class Action { kServe, kTestConfig, kVersion, kHelp };

  ServerOptions server = {.deflate = {.mode = DeflateMode::kOn}};
  std::vector<std::string> echo_paths;  // of the routes; every path when none is given
  core::LogLevel log_level = core::LogLevel::kInfo;
  core::LogFormat log_format = core::LogFormat::kText;
  Action action = Action::kServe;
};

// Reads the arguments (without the program's name), and the file of --config first: what stands on
// the command line wins; flags that may be repeated replace the file's. errors: one line naming the
// flag or file and line, the reason, and for an unknown flag the nearest right one.
core::Result<Settings> read_settings(std::span<const std::string> arguments);

// "64", "16k", "16KiB", "1m", "1MiB", "1GiB": all powers of 1024.
core::Result<std::uint64_t> parse_size(std::string_view text);

// The text of --help.
std::string help_text();

}  // namespace ws::daemon
