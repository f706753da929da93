// SPDX-License-Identifier: GPL-2.0-only
#include "itmed/config.hpp"

#include "lib/explain.hpp"
#include "lib/size.hpp"

#include <algorithm>
#include <map>
#include <set>

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace itme {

namespace {

constexpr std::int64_t least_sample_s = 1, most_sample_s = 3600;

class Reader {
public:
	explicit Reader(std::string file) : file_(std::move(file)) {}

	ConfigResult result;

	void read(const toml::table &table)
	{
		only(table, "the file",
		     {"socket_group", "metrics", "sample_seconds", "probe", "positions", "plans",
		      "mount"});
		text(table, "socket_group", result.config.socket_group);
		text(table, "metrics", result.config.metrics);
		if (!is_loopback(result.config.metrics))
			fault(*table.get("metrics"),
			      "metrics = \"" + result.config.metrics +
				      "\" is no address of this host alone; give 127.0.0.1:PORT, "
				      "[::1]:PORT, or \"\" for none");
		flag(table, "probe", result.config.probe);
		flag(table, "positions", result.config.positions);
		flag(table, "plans", result.config.plans);
		if (const auto *node = table.get("sample_seconds")) {
			const auto seconds = node->value_exact<std::int64_t>();

			if (!seconds || *seconds < least_sample_s || *seconds > most_sample_s)
				fault(*node, "sample_seconds must be a whole number from 1 to "
					     "3600");
			else
				result.config.sample = std::chrono::seconds{*seconds};
		}
		for (const auto *mount : tables(table, "mount"))
			read_mount(*mount);
		find_doubles(table);
	}

	void fault(const toml::node &node, const std::string &text)
	{
		fault(node.source().begin.line, text);
	}
	void fault(std::uint32_t line, const std::string &text)
	{
		result.faults.push_back(file_ + ":" + std::to_string(line) + ": " + text);
	}

private:
	static bool is_loopback(const std::string &address)
	{
		for (const std::string host : {"127.0.0.1:", "[::1]:", "localhost:"}) {
			if (!address.starts_with(host))
				continue;
			const auto port = parse_number(address.substr(host.size()));
			return port && *port <= 65535;
		}
		return address.empty();
	}

	// A key that is not known is a typing mistake, or of another version.
	void only(const toml::table &table, const std::string &where,
		  const std::set<std::string> &known)
	{
		std::string names;

		for (const auto &name : known)
			names += (names.empty() ? "" : ", ") + name;
		for (const auto &[key, node] : table)
			if (!known.contains(std::string{key.str()}))
				fault(key.source().begin.line,
				      "'" + std::string{key.str()} + "' is not known in " + where +
					      "; known are " + names);
	}

	void text(const toml::table &table, const char *key, std::string &value)
	{
		const auto *node = table.get(key);
		if (node == nullptr)
			return;
		const auto given = node->value_exact<std::string>();
		if (!given || given->find('\0') != given->npos)
			fault(*node, std::string{key} + " must be text in quotes");
		else
			value = *given;
	}

	void flag(const toml::table &table, const char *key, bool &value)
	{
		const auto *node = table.get(key);
		if (node == nullptr)
			return;
		const auto given = node->value_exact<bool>();
		if (!given)
			fault(*node, std::string{key} + " must be true or false");
		else
			value = *given;
	}

	std::vector<const toml::table *> tables(const toml::table &table, const std::string &key)
	{
		std::vector<const toml::table *> found;
		const auto *node = table.get(key);

		if (node == nullptr)
			return found;
		const auto *array = node->as_array();
		if (array == nullptr) {
			fault(*node, key + " must be a list: write [[" + key + "]]");
			return found;
		}
		for (const auto &entry : *array) {
			if (const auto *item = entry.as_table())
				found.push_back(item);
			else
				fault(entry,
				      key + " must be a list of tables: write [[" + key + "]]");
		}
		return found;
	}

	// "32G", "32G@0", "256G@1:2"
	static bool is_budget(const std::string &value)
	{
		const auto at = value.find('@');

		if (!parse_size(value.substr(0, at)))
			return false;
		return at == value.npos ||
		       (at + 1 < value.size() &&
			value.find_first_not_of("0123456789:", at + 1) == value.npos);
	}

	void add_option(const toml::table &table, const char *key, MountConfig &mount)
	{
		std::string value;

		text(table, key, value);
		if (value.empty())
			return;
		const bool budget =
			key == std::string_view{"dram"} || key == std::string_view{"cxl"};
		const bool name = key == std::string_view{"name"};
		if (budget && !is_budget(value))
			return fault(*table.get(key), std::string{key} + " = \"" + value +
							      "\" is no budget such as \"32G\" or "
							      "\"256G@1\"");
		if (name && (value.size() > 31 || value.find_first_of(",/ \t\n\\") != value.npos))
			return fault(*table.get(key), "name = \"" + value +
							      "\" names no instance: at most 31 "
							      "bytes without ',', '/' or space");
		if (!budget && !name && !parse_size(value))
			return fault(*table.get(key), std::string{key} + " = \"" + value +
							      "\" is no size such as \"2M\"");
		mount.options +=
			(mount.options.empty() ? "" : ",") + std::string{key} + "=" + value;
	}

	void read_mount(const toml::table &table)
	{
		MountConfig mount;
		std::string path;

		only(table, "[[mount]]",
		     {"path", "dram", "cxl", "window", "granule", "name", "attach"});
		text(table, "path", path);
		mount.path = Path{path}.lexically_normal();
		if (!mount.path.has_filename() && mount.path != "/")
			mount.path = mount.path.parent_path(); // of "/mnt/itme/"
		if (!mount.path.is_absolute())
			fault(table, "[[mount]] needs path = \"/...\", an absolute path");
		for (const auto *key : {"dram", "cxl", "window", "granule", "name"})
			add_option(table, key, mount);
		if (!table.contains("dram") && !table.contains("cxl"))
			fault(table, "[[mount]] needs a budget: dram = \"32G\", cxl = \"256G@1\", "
				     "or both");
		for (const auto *entry : tables(table, "attach"))
			read_attach(*entry, mount);
		result.config.mounts.push_back(std::move(mount));
	}

	void read_attach(const toml::table &table, MountConfig &mount)
	{
		AttachConfig attach;
		std::string store, mode;

		only(table, "[[mount.attach]]",
		     {"store", "name", "mode", "owner", "group", "schedule"});
		text(table, "store", store);
		text(table, "name", attach.name);
		text(table, "mode", mode);
		text(table, "owner", attach.owner);
		text(table, "group", attach.group);
		text(table, "schedule", attach.schedule);
		attach.store = store;
		if (!attach.store.is_absolute())
			fault(table, "[[mount.attach]] needs store = \"/...\", an absolute path");
		if (attach.name.empty())
			attach.name = attach.store.filename();
		if (const auto why = name_fault(attach.name);
		    !why.empty() && attach.store.is_absolute())
			fault(table, "\"" + attach.name + "\" cannot name a region: " + why +
					     "; give another with name = \"...\"");
		if (!mode.empty()) {
			if (mode.size() > 4 || mode.find_first_not_of("01234567") != mode.npos ||
			    std::stoul(mode, nullptr, 8) > 0777)
				fault(*table.get("mode"),
				      "mode = \"" + mode + "\" is no mode such as \"0640\"");
			else
				attach.mode = std::stoul(mode, nullptr, 8);
		}
		if (attach.schedule != "auto" && attach.schedule != "none" &&
		    !attach.schedule.starts_with('/'))
			fault(*table.get("schedule"), "schedule must be \"auto\", \"none\" or the "
						      "absolute path of a schedule file");
		mount.attachments.push_back(std::move(attach));
	}

	void find_doubles(const toml::table &table)
	{
		std::set<Path> paths;

		for (const auto &mount : result.config.mounts) {
			std::set<std::string> names;

			if (!paths.insert(mount.path).second)
				fault(*table.get("mount"),
				      "two [[mount]] have the path " + mount.path.string());
			for (const auto &attach : mount.attachments)
				if (!names.insert(attach.name).second)
					fault(*table.get("mount"),
					      "two [[mount.attach]] of " + mount.path.string() +
						      " have the name \"" + attach.name +
						      "\"; give another with name = \"...\"");
		}
	}

	std::string file_;
};

} // namespace

ConfigResult parse_config(std::string_view text, const std::string &file)
{
	Reader reader{file};
	const auto parsed = toml::parse(text, file);

	if (parsed.failed())
		reader.fault(parsed.error().source().begin.line,
			     std::string{parsed.error().description()});
	else
		reader.read(parsed.table());
	return std::move(reader.result);
}

} // namespace itme
