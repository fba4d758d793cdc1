// Internal. Plays a conformance case over a real connection.
#pragma once

#include <optional>
#include <string>

#include "tests/conformance/conformance.h"
#include "tests/support/stream.h"
#include "ws/deflate/inflate.h"

namespace ws::test {

// What a server's frame must be: unmasked, whole, without reserved bits but RSV1 on a message where
// permessage-deflate was agreed on, its length minimal.
struct ServerFrame {
  std::uint8_t opcode = 0;
  std::string payload;  // after inflation
  bool packed = false;  // RSV1 was set
};

struct Answer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;

  // All values of that name, case ignored, joined by ", "; nullopt: none.
  std::optional<std::string> header(std::string_view name) const;
  bool has_token(std::string_view name, std::string_view token) const;
};

// The client's end. Every function returns what is wrong, "" if nothing.
class Client {
 public:
  explicit Client(Stream& stream) : stream_(stream) {}

  std::string play(const Case& c);
  std::string upgrade(const Request& request = {});
  std::string play(const Script& script);

  std::string read_answer(Answer& out, int ms, bool head_only = false);
  std::string read_frame(ServerFrame& out, int ms);
  // FIN and nothing before it.
  std::string read_end(int ms);

 private:
  std::string step(const Step& step);
  std::string send(const Step& step);
  std::string expect_frame(const Step& step);
  std::string expect_close(const Step& step);
  std::string expect_answer(const Step& step);
  std::string judge_extensions(const Answer& answer, std::string wanted);
  std::string inflate(std::string& payload);
  std::string expect_silence(int ms);
  std::string expect_gone();
  // Reads until the buffer holds `bytes`.
  std::string fill(std::size_t bytes, int ms);

  Stream& stream_;
  std::string buffer_;                                // read and not yet judged
  std::optional<deflate::InflateContext> inflating_;  // as the server's 101 said
};

}  // namespace ws::test
