#include "scheduler/cli/table.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>

#include "scheduler/cli/format.h"

namespace sluice::scheduler::cli {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const Cell& cell) {
  return std::visit(
      [](const auto& value) -> Json {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::monostate>)
          return nullptr;
        else
          return value;
      },
      cell.value);
}

Json json_of(const std::vector<Column>& columns, const Row& row) {
  Json object = Json::object();
  for (std::size_t i = 0; i < columns.size(); ++i) object[columns[i].key] = json_of(row[i]);
  return object;
}

std::string dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string csv_field(const Cell& cell) {
  if (std::holds_alternative<std::monostate>(cell.value)) return {};
  if (const auto* text = std::get_if<std::string>(&cell.value)) return csv_field(*text);
  return dump(json_of(cell));
}

// The columns that people see.
std::vector<std::size_t> shown(const Table& table) {
  std::vector<std::size_t> indices;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (!table.columns[i].title.empty()) indices.push_back(i);
  }
  return indices;
}

std::string cut(const std::string& text, std::size_t width) {
  if (display_width(text) <= width) return text;
  std::size_t end = 0;
  for (std::size_t columns = 0; end < text.size() && columns + 1 < width; ++columns) {
    do ++end;
    while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80);
  }
  return text.substr(0, end) + "…";
}

constexpr int kWidthMin = 8;       // down to which columns with a limit give way
constexpr int kLastWidthMin = 16;  // ... so that so much of the last one is seen

Table cut_to(Table table, int width) {
  int excess = 1 - width;  // the margin
  const auto indices = shown(table);
  const auto widest = [&](std::size_t i) {
    std::size_t most = display_width(table.columns[i].title);
    for (const Row& row : table.rows) most = std::max(most, display_width(row[i].text));
    return static_cast<int>(most);
  };
  const auto limited = [&](std::size_t i) { return table.columns[i].width_max > 0; };
  for (const std::size_t i : indices) {
    const int full = i == indices.back() ? std::min(widest(i), kLastWidthMin) : widest(i);
    excess += (limited(i) ? std::min(full, table.columns[i].width_max) : full) + 2;
  }
  excess -= 2;
  for (const std::size_t i : indices) {
    if (!limited(i)) continue;
    const int most = std::min(widest(i), table.columns[i].width_max);
    const int kept = std::max(std::min(most, kWidthMin), most - std::max(0, excess));
    excess -= most - kept;
    for (Row& row : table.rows) row[i].text = cut(row[i].text, static_cast<std::size_t>(kept));
  }
  return table;
}

std::string render_table(const Table& whole, int width) {
  const Table table = width > 0 ? cut_to(whole, width) : whole;
  const auto indices = shown(table);
  std::vector<std::size_t> widths;
  for (const std::size_t i : indices) {
    std::size_t widest = display_width(table.columns[i].title);
    for (const Row& row : table.rows) widest = std::max(widest, display_width(row[i].text));
    widths.push_back(widest);
  }
  std::string out;
  const auto line = [&](const auto& text_of) {
    std::string row = " ";
    for (std::size_t k = 0; k < indices.size(); ++k) {
      std::string text = text_of(indices[k]);
      if (k + 1 == indices.size() && width > 0) {
        const auto used = display_width(row);
        text = cut(text, std::max<std::size_t>(static_cast<std::size_t>(width), used + 8) - used);
      }
      const std::string pad(widths[k] - std::min(widths[k], display_width(text)), ' ');
      row += table.columns[indices[k]].numeric ? pad + text : text + pad;
      if (k + 1 < indices.size()) row += "  ";
    }
    row.erase(row.find_last_not_of(' ') + 1);
    out += row + "\n";
  };
  line([&](std::size_t i) { return table.columns[i].title; });
  for (const Row& row : table.rows) line([&](std::size_t i) { return row[i].text; });
  return out;
}

std::string render_md(const Table& table) {
  const auto indices = shown(table);
  std::string head = "|", rule = "|", body;
  for (const std::size_t i : indices) {
    head += " " + table.columns[i].title + " |";
    rule += table.columns[i].numeric ? " ---: |" : " --- |";
  }
  for (const Row& row : table.rows) {
    body += "|";
    for (const std::size_t i : indices) {
      std::string text = row[i].text;
      for (auto at = text.find('|'); at != std::string::npos; at = text.find('|', at + 2)) {
        text.insert(at, "\\");
      }
      std::ranges::replace(text, '\n', ' ');
      body += " " + text + " |";
    }
    body += "\n";
  }
  return head + "\n" + rule + "\n" + body;
}

}  // namespace

Cell nothing() { return {.value = {}, .text = "-"}; }
Cell word(std::string value) { return {.value = value, .text = visible(value)}; }
Cell word(std::string value, std::string text) {
  return {.value = std::move(value), .text = visible(text)};
}
Cell flag(bool value) { return {.value = value, .text = value ? "yes" : "no"}; }
Cell count(std::int64_t value) { return {.value = value, .text = with_commas(value)}; }
Cell number(double value, int digits) { return number(value, fixed(value, digits)); }
Cell number(double value, std::string text) {
  if (!std::isfinite(value)) return nothing();
  return {.value = value, .text = std::move(text)};
}

std::string to_json(const std::vector<Column>& columns, const Row& row) {
  return dump(json_of(columns, row));
}

std::string render(const Table& table, Format format, int width) {
  switch (format) {
    case Format::table:
      return render_table(table, width);
    case Format::md:
      return render_md(table);
    case Format::json: {
      Json array = Json::array();
      for (const Row& row : table.rows) array.push_back(json_of(table.columns, row));
      return dump(array, 2) + "\n";
    }
    case Format::csv:
    case Format::jsonl: {
      std::ostringstream out;
      RowWriter writer(out, table.columns, format);
      for (const Row& row : table.rows) writer.write(row);
      return out.str();
    }
  }
  return {};
}

RowWriter::RowWriter(std::ostream& out, std::vector<Column> columns, Format format)
    : out_(out), columns_(std::move(columns)), format_(format) {
  if (format_ != Format::csv) return;
  std::string line;
  for (const Column& column : columns_) line += (line.empty() ? "" : ",") + csv_field(column.key);
  out_ << line << "\n";
}

void RowWriter::write(const Row& row) {
  if (format_ == Format::jsonl) {
    out_ << to_json(columns_, row) << "\n";
    return;
  }
  for (std::size_t i = 0; i < row.size(); ++i) out_ << (i == 0 ? "" : ",") << csv_field(row[i]);
  out_ << "\n";
}

}  // namespace sluice::scheduler::cli
