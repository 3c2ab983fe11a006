"""Which beds need shade: those whose temperature changes too much in a day."""

import goldfish

config = goldfish.config()
sensors = goldfish.load_input("sensors")
changes = {
    sensor: round(max(hours) - min(hours), 2)
    for sensor, hours in zip(sensors, goldfish.load_input("hours", plain=True))
}
shade = [sensor for sensor, change in changes.items() if change > config["most_change"]]

goldfish.save_output("report", {"change": changes, "needs_shade": shade})
goldfish.log_metric("needs_shade", len(shade))
