// Studies, and what reports ask of a job's results.
#include <algorithm>

#include "db/error.h"
#include "db/sqlite/rows.h"
#include "db/sqlite/store_data.h"
#include "jobs/error.h"
#include "jobs/files.h"

namespace sluice::db {

template <class Visit>
void columns(StudyRun& run, const Visit& visit) {
  visit("study", run.study);
  visit("point", run.point);
  visit("repeat", run.repeat);
  visit("job", run.job);
}

namespace {

using jobs::JobId;

std::vector<Study> read_studies(sqlite::Statement statement) {
  std::vector<Study> found;
  while (statement.step()) {
    Study study;
    std::string directory;
    statement.read(study.id);
    statement.read(study.name);
    statement.read(study.kind);
    statement.read(directory);
    statement.read(study.repeats);
    statement.read(study.chained);
    statement.read(study.created_unix_s);
    study.directory = directory;
    found.push_back(std::move(study));
  }
  return found;
}

constexpr const char* kSelectStudies =
    "SELECT id, name, kind, directory, repeats, chained, created_unix_s FROM studies ";

std::vector<StudyRun> read_runs(sqlite::Statement statement) {
  std::vector<StudyRun> found;
  while (statement.step()) found.push_back(sqlite::read_row<StudyRun>(statement));
  return found;
}

std::string select_runs() {
  return "SELECT " + sqlite::column_names<StudyRun>() + " FROM study_runs ";
}

}  // namespace

std::int64_t Store::create_study(
    const Study& study, const std::vector<StudyPoint>& points,
    const std::function<std::filesystem::path(std::int64_t)>& prepare) {
  auto& connection = data_->connection;
  return connection.write("create a study", [&] {
    connection
        .prepare(
            "INSERT INTO studies (name, kind, directory, repeats, chained, created_unix_s) "
            "VALUES (?, ?, '', ?, ?, ?)")
        .bind(study.name, study.kind, study.repeats, static_cast<int>(study.chained),
              jobs::unix_time_s())
        .run();
    auto last = connection.prepare("SELECT last_insert_rowid()");
    std::int64_t id = 0;
    last.step();
    last.read(id);
    auto insert = connection.prepare(
        "INSERT INTO study_points (study, point, role, file, spec) VALUES (?, ?, ?, ?, ?)");
    for (const StudyPoint& point : points) {
      insert.bind(id, point.point, point.role, point.file, to_json(point.spec)).run();
    }
    connection.prepare("UPDATE studies SET directory = ? WHERE id = ?")
        .bind(prepare(id).string(), id)
        .run();
    return id;
  });
}

std::vector<Study> Store::studies() const {
  return data_->connection.read("read the studies", [&] {
    return read_studies(
        data_->connection.prepare(std::string(kSelectStudies) + "ORDER BY id DESC"));
  });
}

std::optional<Study> Store::study(std::int64_t id) const {
  return data_->connection.read("read a study", [&]() -> std::optional<Study> {
    auto statement = data_->connection.prepare(std::string(kSelectStudies) + "WHERE id = ?");
    statement.bind(id);
    auto found = read_studies(std::move(statement));
    if (found.empty()) return std::nullopt;
    return std::move(found.front());
  });
}

std::vector<StudyPoint> Store::study_points(std::int64_t id) const {
  return data_->connection.read("read a study's points", [&] {
    auto statement = data_->connection.prepare(
        "SELECT point, role, file, spec FROM study_points WHERE study = ? ORDER BY point");
    statement.bind(id);
    std::vector<StudyPoint> found;
    while (statement.step()) {
      StudyPoint point;
      std::string spec;
      statement.read(point.point);
      statement.read(point.role);
      statement.read(point.file);
      statement.read(spec);
      try {
        point.spec = jobs::parse_spec(spec);
      } catch (const jobs::Error& error) {
        throw Error("cannot read a spec of study " + std::to_string(id) + " in the database " +
                    path().string() + ": " + error.what());
      }
      found.push_back(std::move(point));
    }
    return found;
  });
}

std::vector<StudyRun> Store::study_runs(std::int64_t id) const {
  return data_->connection.read("read a study's runs", [&] {
    auto stray = data_->connection.prepare(
        "SELECT job FROM study_runs WHERE study = ?1 "
        "AND point NOT IN (SELECT point FROM study_points WHERE study = ?1)");
    if (stray.bind(id).step()) {
      JobId job = 0;
      stray.read(job);
      throw Error("study " + std::to_string(id) + " in the database " + path().string() +
                  " is damaged: job " + std::to_string(job) + " is of a point that it has not");
    }
    auto statement =
        data_->connection.prepare(select_runs() + "WHERE study = ? ORDER BY point, \"repeat\"");
    statement.bind(id);
    return read_runs(std::move(statement));
  });
}

std::optional<StudyRun> Store::study_run_of(JobId id) const {
  return data_->connection.read("read a study's run", [&]() -> std::optional<StudyRun> {
    auto statement = data_->connection.prepare(select_runs() + "WHERE job = ?");
    statement.bind(id);
    auto found = read_runs(std::move(statement));
    if (found.empty()) return std::nullopt;
    return found.front();
  });
}

void Store::set_repeats(std::int64_t id, int repeats) {
  data_->connection.transact("change a study", [&] {
    data_->connection.prepare("UPDATE studies SET repeats = ? WHERE id = ?")
        .bind(repeats, id)
        .run();
  });
}

double Store::longest_chain_s(JobId id, double prompt_token_s, double output_token_s) const {
  return data_->connection.read("read a job's longest answer", [&] {
    auto statement = data_->connection.prepare(
        "SELECT coalesce(max(prompt_tokens * ? + output_tokens * ?), 0) FROM results "
        "WHERE job = ? AND status = 'ok'");
    statement.bind(prompt_token_s, output_token_s, id).step();
    double longest_s = 0;
    statement.read(longest_s);
    return longest_s;
  });
}

std::vector<double> Store::latencies_s(JobId id, int most) const {
  return data_->connection.read("read a job's latencies", [&] {
    auto statement = data_->connection.prepare(
        "WITH ordered AS (SELECT latency_s, row_number() OVER (ORDER BY latency_s) - 1 AS place, "
        "                        count(*) OVER () AS all_of_them "
        "                   FROM results WHERE job = ?1 AND latency_s IS NOT NULL) "
        "SELECT latency_s FROM ordered "
        " WHERE place * ?2 / max(all_of_them, ?2) <> (place - 1) * ?2 / max(all_of_them, ?2) "
        "    OR place = 0 ORDER BY place");
    statement.bind(id, most);
    std::vector<double> found;
    while (statement.step()) statement.read(found.emplace_back());
    return found;
  });
}

}  // namespace sluice::db
