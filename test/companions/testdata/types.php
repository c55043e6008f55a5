<?php
declare(strict_types=1);

// Requires each file of a folder, and prints what in its classes has no type or no comment.

foreach (glob("$argv[1]/*.php") as $file) {
    require_once $file;
}
foreach (get_declared_classes() as $name) {
    $class = new ReflectionClass($name);
    if (!str_starts_with($name, 'Wsfpm\\')) {
        continue;
    }
    if ($class->getDocComment() === false) {
        echo "$name has no comment\n";
    }
    foreach ($class->getMethods() as $method) {
        if ($method->getDeclaringClass()->getName() !== $name) {
            continue;
        }
        if (!$method->hasReturnType() && !$method->isConstructor()) {
            echo "$name::{$method->name} has no type of return\n";
        }
        foreach ($method->getParameters() as $parameter) {
            if (!$parameter->hasType()) {
                echo "$name::{$method->name}: \${$parameter->name} has no type\n";
            }
        }
    }
    foreach ($class->getProperties() as $property) {
        if ($property->getDeclaringClass()->getName() === $name && !$property->hasType()) {
            echo "$name::\${$property->name} has no type\n";
        }
    }
}
