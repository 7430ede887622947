// A simulated GoogleTest program, or one of pytest: what a process prints, how long that takes and how it ends, as the
// scenario says. It reads its command line, its environment and its files, as a program does, and prints what
// GoogleTest prints, or tells what our plugin of pytest tells.

#ifndef DTEST_TESTS_SIMULATION_SIM_PROCESS_H_
#define DTEST_TESTS_SIMULATION_SIM_PROCESS_H_

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/execute/process_launcher.h"
#include "dtest/messages.h"
#include "simulation/sim_scenario.h"

namespace dtest::simulation {

// As the agent started it.
struct Invoked {
  bool lists = false;
  uint32_t unit = 0;
  uint32_t iteration = 1;
  std::vector<uint32_t> cases;  // to run, by index; as the program orders them
  std::string premature_file;   // to be there until its end
  std::string report_file;      // to be written at its end; empty: none
  std::string listing_file;     // of pytest: to be written; empty: it is printed
};

// The program of a unit: its path says which.
std::string ProgramOf(uint32_t unit);
const char* FrameworkOf(const SimUnit& unit);
using SimFiles = std::map<std::string, std::string>;  // by path
Invoked ReadInvocation(const Scenario& scenario, const StartSpec& spec, const SimFiles& files);
// What an answer of the agent's has a process of pytest run; empty: nothing.
std::vector<uint32_t> ReadAnswer(const SimUnit& unit, const std::string& answer, const SimFiles& files);

// ---- What it prints
std::string Listing(const SimUnit& unit);
std::string Beginning(size_t cases);
// Of the case at `position`: with its suite's beginning, if it is the first of it.
std::string CaseBegins(const SimUnit& unit, const std::vector<uint32_t>& cases, size_t position);
// With its suite's end, if it is the last of it.
std::string CaseEnds(const SimUnit& unit, const std::vector<uint32_t>& cases, size_t position, Outcome outcome);
std::string Ending(size_t cases);
// A record of our plugin.
std::string Told(std::initializer_list<absl::string_view> fields);
std::string ToldListing(const SimUnit& unit);
// With the set-up of its suite, where it is the first of that in its process.
std::string ToldEnd(const SimUnit& unit, const std::vector<uint32_t>& cases, size_t position, Outcome outcome);
// The report of a process whose cases ran as these executions, each with a property that says which.
std::string Report(const SimUnit& unit, const std::vector<uint32_t>& cases, const std::vector<uint32_t>& executions);

}  // namespace dtest::simulation

#endif  // DTEST_TESTS_SIMULATION_SIM_PROCESS_H_
