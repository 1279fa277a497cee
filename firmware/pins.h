// What is wired where on an Arduino Nano or Uno.
#pragma once

#define MARK_PINS PINB
#define MARK_PULL_UPS PORTB
#define MARK_BIT PB0    // D8

#define SCL_SDA_PINS PINC
#define SCL_SDA_DIRECTIONS DDRC
#define SDA_BIT PC4     // A4
#define SCL_BIT PC5     // A5
