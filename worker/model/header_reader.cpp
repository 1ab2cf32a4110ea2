#include "worker/model/header_reader.h"

#include <algorithm>

#include "worker/error.h"
#include "worker/model/hash.h"

namespace sluice::worker::model {

std::string HeaderReader::subject() const {
  return file_.path().string() + ": " + subject_ + " (offset " + std::to_string(offset_) + ")";
}

void HeaderReader::fail(const std::string& what) const { throw Error(subject() + ": " + what); }

void HeaderReader::refill() {
  const std::size_t size = std::min<std::uint64_t>(buffer_.size(), left());
  file_.read_at(offset_, std::span(buffer_).first(size));
  buffered_ = std::span(buffer_).first(size);
}

void HeaderReader::take(std::span<std::byte> out) {
  if (out.size() > left()) {
    fail("the file ends here, at " + std::to_string(file_.bytes()) +
         " bytes; it is cut short: fetch it again");
  }
  while (!out.empty()) {
    if (buffered_.empty()) refill();
    const auto part = buffered_.first(std::min(out.size(), buffered_.size()));
    std::ranges::copy(part, out.begin());
    hash_ = hash_on(hash_, part);
    buffered_ = buffered_.subspan(part.size());
    out = out.subspan(part.size());
    offset_ += part.size();
  }
}

std::uint64_t HeaderReader::count(std::string_view things, std::uint64_t bytes_each_min) {
  const auto count = number<std::uint64_t>();
  if (count > left() / bytes_each_min) {
    fail("claims " + std::to_string(count) + " " + std::string(things) +
         ", but the file has only " + std::to_string(left()) +
         " bytes left; it is damaged or cut short: fetch it again");
  }
  return count;
}

std::string HeaderReader::string() { return text(count("bytes of text", 1)); }

std::string HeaderReader::text(std::uint64_t bytes) {
  std::string text(bytes, '\0');
  take(std::as_writable_bytes(std::span(text)));
  return text;
}

}  // namespace sluice::worker::model
